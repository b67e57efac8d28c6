"""Measure slides side by side on the same pixels: rate, peak memory, and what seams do to nuclei.

Run as ``python benchmarks/slides.py [--json OUT] [--size PIXELS]``. In turns, each time in a process of its own, run

- ``predict_slide``: from a tiled TIFF file to table, labels and outlines on disk;
- the network alone on the same tiles, from memory: the bound of what a pipeline can reach;
- MONAI's ``sliding_window_inference`` with the same network, windows a quarter over each other, blended evenly or by
  a Gaussian, and grouped as a whole; it holds the whole picture in memory and writes nothing.

StarDist's ``predict_instances_big`` is not among them: it needs TensorFlow, and runs another network, so that its rate
would say little of the pipeline. MONAI comes with ``pip install --constraint constraints.txt --group benchmark``;
without it, its rows are left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _machine import cpu, installed_version
from _slides import report

# This process imports nothing heavy: on Linux, the peak of memory of a process counts its parent's when it began.
NAMES = ("predict_slide", "network alone", "MONAI, constant", "MONAI, gaussian")
WITHOUT_LABELS = ("network alone",)


def main() -> None:
    """Measure everybody and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--size", type=int, default=4096, help="side of the picture, a multiple of 32 (4096)")
    parser.add_argument("--tile", type=int, default=1856, help="side of a tile, a multiple of 32 (1856)")
    parser.add_argument("--seam-size", type=int, default=2048, help="side of the picture cut for seams (2048)")
    parser.add_argument("--seam-tile", type=int, default=640, help="side of its tiles (640)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is timed (3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the network (one a core)")
    options = parser.parse_args()
    results: dict[str, Any] = {"surroundings": _surroundings(options), "left_out": {}}
    names = [name for name in NAMES if importlib.util.find_spec("monai") or not name.startswith("MONAI")]
    results["left_out"] = {name: "monai is not installed" for name in NAMES if name not in names}
    results["rows"] = {name: {"runs": [], "seams": None} for name in names}
    with tempfile.TemporaryDirectory() as folder:
        picture, seam_picture = Path(folder) / "picture.tif", Path(folder) / "seams.tif"
        _draw(picture, options.size)
        _draw(seam_picture, options.seam_size)
        for number in range(options.rounds):
            for name in names:
                run = _measure("rate", name, picture, options.tile, options.threads)
                results["rows"][name]["runs"].append(run)
                print(f"round {number + 1}, {name}: {run['seconds']:.1f} s", file=sys.stderr)
        for name in names:
            if name not in WITHOUT_LABELS:
                results["rows"][name]["seams"] = _measure(
                    "seams", name, seam_picture, options.seam_tile, options.threads
                )
    print(report.markdown(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _surroundings(options: argparse.Namespace) -> dict[str, Any]:
    """Machine, versions and data that the figures belong to."""
    distributions = ("nucleus-unet", "torch", "numpy", "tifffile", "monai")
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "threads": options.threads,
        "load_average_at_start": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in distributions},
        "nuclei": _child("-c", "from _slides.picture import origin; print(origin())").strip(),
        "side": options.size,
        "tile": options.tile,
        "seam_side": options.seam_size,
        "seam_tile": options.seam_tile,
    }


def _draw(path: Path, side: int) -> None:
    code = "import sys, pathlib; from _slides.picture import write_mosaic; "
    _child("-c", code + "write_mosaic(pathlib.Path(sys.argv[1]), int(sys.argv[2]))", str(path), str(side))


def _measure(what: str, name: str, picture: Path, tile: int, threads: int) -> dict[str, Any]:
    arguments = (what, name, str(picture), str(tile), str(threads))
    result: dict[str, Any] = json.loads(_child("-m", "_slides.measure", *arguments).splitlines()[-1])
    return result


def _child(*arguments: str) -> str:
    here = Path(__file__).resolve().parent
    return subprocess.run([sys.executable, *arguments], cwd=here, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
