"""Measure slides side by side on the same pixels: rate, peak memory, and what seams do to nuclei.

Run as ``python benchmarks/slides.py [--json OUT] [--size PIXELS] [--device cuda] [--stardist PYTHON] [--earlier
PYTHON]``. In turns, each time in a process of its own, run

- ``predict_slide``: from a tiled TIFF file to table, labels and outlines on disk;
- the network alone on the same tiles and in the same number of calls at once, from memory: the bound of what a pipeline
  can reach;
- MONAI's ``sliding_window_inference`` with the same network, windows a quarter over each other, blended evenly or by
  a Gaussian, and grouped as a whole; it holds the whole picture in memory and writes nothing;
- ``predict_slide`` of an earlier version of this library, if ``--earlier`` names an interpreter that has one;
- StarDist's ``predict_instances_big`` in blocks as large as the tiles, in memory too. It runs another network, trained
  on stage1_train.zip just long enough to find nuclei, so its rate says little of the pipeline; its seams say much.

MONAI comes with ``pip install --constraint constraints.txt --group benchmark``, StarDist with ``pip install stardist
tensorflow tifffile imagecodecs`` in an environment of its own, whose interpreter ``--stardist`` names. Rows of what is
not there are left out and named.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _machine import cpu, installed_version
from _slides import report

# This process imports nothing heavy: on Linux, the peak of memory of a process counts its parent's when it began.
STARDIST = "StarDist, predict_instances_big"
EARLIER = "predict_slide, earlier version"
NAMES = ("predict_slide", "network alone", EARLIER, "MONAI, constant", "MONAI, gaussian", STARDIST)
WITHOUT_LABELS = ("network alone", EARLIER)
# Whose ratio is the claim: they are timed more often, as this ratio differs less than the machine does.
PAIR = ("predict_slide", "network alone")
# Tiles are as large as the pipeline's own, where --tile does not say otherwise.
TILE = 2048

Measure = Callable[[str, Path, int], dict[str, Any]]
"""Takes ``"rate"`` or ``"seams"``, the path of a picture and the side of its tiles."""


def main() -> None:
    """Measure everybody and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--size", type=int, default=8192, help="side of the picture, a multiple of 32 (8192)")
    parser.add_argument("--tile", type=int, default=TILE, help=f"side of a tile, at most ({TILE})")
    parser.add_argument("--seam-size", type=int, default=2048, help="side of the picture cut for seams (2048)")
    parser.add_argument("--seam-tile", type=int, default=640, help="side of its tiles (640)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody is timed (3)")
    parser.add_argument(
        "--pairs", type=int, default=0, help="how often predict_slide and the network alone are, if more"
    )
    parser.add_argument("--device", default="cpu", help="of the network: cpu, cuda or mps (cpu)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the network (one a core)")
    parser.add_argument("--stardist", type=Path, metavar="PYTHON", help="interpreter of an environment that has it")
    parser.add_argument(
        "--stardist-network", type=Path, metavar="FOLDER", help="keeps its network, which is trained if it is not there"
    )
    parser.add_argument("--earlier", type=Path, metavar="PYTHON", help="interpreter with an earlier version of this")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected at least 1")
    results: dict[str, Any] = {"surroundings": _surroundings(options), "left_out": _left_out(options)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measures = {name: _measure(name, options, folder) for name in NAMES if name not in results["left_out"]}
        results["rows"] = {name: {"runs": [], "seams": None} for name in measures}
        picture, seam_picture = folder / "picture.tif", folder / "seams.tif"
        _draw(picture, options.size)
        _draw(seam_picture, options.seam_size)
        for number, name in _turns(list(measures), options.rounds, max(options.pairs, options.rounds)):
            run = measures[name]("rate", picture, options.tile)
            results["rows"][name]["runs"].append(run)
            print(f"round {number + 1}, {name}: {run['seconds']:.1f} s", file=sys.stderr)
        for name, measure in measures.items():
            if name not in WITHOUT_LABELS:
                results["rows"][name]["seams"] = measure("seams", seam_picture, options.seam_tile)
    print(report.markdown(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def _turns(names: list[str], rounds: int, pairs: int) -> Iterator[tuple[int, str]]:
    """Yield who is timed, round by round; in every second one the network alone comes before the pipeline."""
    for number in range(pairs):
        others = [name for name in names if name not in PAIR] if number < rounds else []
        for name in (*PAIR[:: -1 if number % 2 else 1], *others):
            yield number, name


def _left_out(options: argparse.Namespace) -> dict[str, str]:
    """Name those who are not there, and why."""
    monai = {name: "monai is not installed" for name in NAMES if name.startswith("MONAI")}
    stardist = {STARDIST: "--stardist was not given"}
    earlier = {EARLIER: "--earlier was not given"}
    return (
        ({} if importlib.util.find_spec("monai") else monai)
        | ({} if options.stardist else stardist)
        | ({} if options.earlier else earlier)
    )


def _surroundings(options: argparse.Namespace) -> dict[str, Any]:
    """Machine, versions and data that the figures belong to."""
    distributions = ("nucleus-unet", "openvino", "numpy", "tifffile", "monai")
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "device": _child("-m", "_slides.measure", "device", options.device).strip(),
        "threads": options.threads,
        "load_average_at_start": os.getloadavg()[0],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: installed_version(name) for name in distributions} | _stardist_versions(options.stardist),
        "nuclei": _child("-c", "from _slides.picture import origin; print(origin())").strip(),
        "side": options.size,
        "tile": options.tile,
        "seam_side": options.seam_size,
        "seam_tile": options.seam_tile,
    }


def _stardist_versions(python: Path | None) -> dict[str, str | None]:
    if python is None:
        return {}
    code = "import json, sys; from _machine import installed_version; "
    code += "print(json.dumps({name: installed_version(name) for name in sys.argv[1:]}))"
    return _told(_child("-c", code, "stardist", "tensorflow", "tensorflow-cpu", python=python))


def _draw(path: Path, side: int) -> None:
    code = "import sys, pathlib; from _slides.picture import write_mosaic; "
    _child("-c", code + "write_mosaic(pathlib.Path(sys.argv[1]), int(sys.argv[2]))", str(path), str(side))


def _measure(name: str, options: argparse.Namespace, folder: Path) -> Measure:
    """Return what measures somebody's rate or seams, each time in a process of its own."""
    if name == STARDIST:
        return _measure_stardist(options, folder)

    if name == EARLIER:
        return lambda _what, picture, _tile: _told(
            _child("-m", "_slides.earlier", str(picture), str(options.threads), python=options.earlier)
        )

    def measure(what: str, picture: Path, tile: int) -> dict[str, Any]:
        settings = (str(picture), str(tile), str(options.threads), options.device)
        return _told(_child("-m", "_slides.measure", what, name, *settings))

    return measure


def _measure_stardist(options: argparse.Namespace, folder: Path) -> Measure:
    """Train its network, if it is not there, and do as `_measure`."""
    network = (options.stardist_network or folder / "stardist").resolve()

    def stardist(what: str, *arguments: str) -> str:
        return _child("-m", "_slides.stardist_peer", what, str(network), *arguments, python=options.stardist)

    if not (network / "thresholds.json").exists():  # the last of its files
        stardist("train")

    def measure(what: str, picture: Path, tile: int) -> dict[str, Any]:
        settings = (str(picture), str(tile), str(options.threads))
        if what == "rate":
            return _told(stardist("rate", *settings))
        stardist("labels", *settings, str(folder))
        return _told(_child("-m", "_slides.measure", "compare", str(folder)))

    return measure


def _told(output: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told


def _child(*arguments: str, python: Path = Path(sys.executable)) -> str:
    here = Path(__file__).resolve().parent
    command = [str(python.absolute()), *arguments]  # but not resolved: a link tells the environment
    return subprocess.run(command, cwd=here, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
