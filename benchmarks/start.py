"""Time how quickly an installed nucleus-unet starts, and tell how much disk it takes.

Run as ``python benchmarks/start.py [--python PYTHON] [--runs N] [--json OUT] [--markdown OUT]``. PYTHON is that of the
environment to be measured, by default this one; every run is a new process. This file itself needs no packages.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _machine import cpu

PICTURE = Path(__file__).resolve().parents[1] / "examples" / "dsb2018" / "images" / "fluorescence_crowded.png"

LOAD = """
import json, time
start = time.perf_counter()
import nucleus_unet
package = time.perf_counter()
from nucleus_unet import Segmenter
segmenter = time.perf_counter()
Segmenter.from_pretrained()
loaded = time.perf_counter()
print(json.dumps({
    "import nucleus_unet": package - start,
    "Segmenter.from_pretrained(), first use of Segmenter included": loaded - package,
}))
"""

# Mirrored to 512 x 512, so that all of it is nuclei.
DRAW = """
import sys, imagecodecs, numpy, tifffile
image = imagecodecs.imread(sys.argv[1])
tifffile.imwrite(sys.argv[2], numpy.pad(image, [(0, 512 - side) for side in image.shape], mode="symmetric"))
"""

SURROUNDINGS = """
import json, sys, sysconfig
from importlib.metadata import distributions
versions = {each.name: each.version for each in distributions()}
print(json.dumps({"python": sys.version.split()[0], "folder": sysconfig.get_path("purelib"), "versions": versions}))
"""

SHOWN = ("nucleus-unet", "openvino", "torch", "numpy", "imagecodecs")
"""Whose versions are told in the Markdown; the JSON tells all."""


def ask(python: Path, code: str, *arguments: object) -> str:
    """Run code in a new process, from a folder that has no package in it, and return what it prints."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=variables, cwd=tempfile.gettempdir()
    ).stdout


def bytes_in(folder: Path) -> int:
    """Add up the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def timings(python: Path, runs: int) -> dict[str, list[float]]:
    """Time each start so many times, in seconds, in the order of the runs."""
    seconds: dict[str, list[float]] = {}
    for _ in range(runs):
        start = time.perf_counter()
        inside = json.loads(ask(python, LOAD))
        inside["process that does this, from start to end"] = time.perf_counter() - start
        for name, taken in inside.items():
            seconds.setdefault(name, []).append(taken)
    command = python.with_name("nucleus-unet.exe" if sys.platform == "win32" else "nucleus-unet")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "picture.tif")
        ask(python, DRAW, PICTURE, picture)
        for _ in range(runs):
            start = time.perf_counter()
            arguments = [command, "predict", picture, "--out", Path(folder, "results"), "--format", "tif,geojson,png"]
            subprocess.run(arguments, check=True, capture_output=True)
            seconds.setdefault("`nucleus-unet predict` of 512 x 512 pixels", []).append(time.perf_counter() - start)
    return seconds


def table(results: dict[str, Any]) -> str:
    """Lay the results out as Markdown."""
    known = ((name, results["versions"].get(name)) for name in SHOWN)
    versions = ", ".join(f"{name} {version}" for name, version in known if version)
    lines = [
        f"CPU: {results['cpu']}, {results['cores']} cores. Python {results['python']}, {versions}.",
        "",
        "| seconds | first | median | least | most |",
        "|---|---|---|---|---|",
    ]
    for name, taken in results["seconds"].items():
        figures = (taken[0], statistics.median(taken), min(taken), max(taken))
        lines.append(f"| {name} | {' | '.join(f'{each:.2f}' for each in figures)} |")
    lines += ["", f"On disk, all packages: {results['bytes'] / 1e6:.0f} MB."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print a table, and write it where it is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    python = arguments.python.absolute()  # not resolved: an environment's Python is often a link out of it
    surroundings = json.loads(ask(python, SURROUNDINGS))
    results = {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "python": surroundings["python"],
        "versions": surroundings["versions"],
        "bytes": bytes_in(Path(surroundings["folder"])),
        "seconds": timings(python, arguments.runs),
    }
    print(table(results), end="")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(table(results))


if __name__ == "__main__":
    main()
