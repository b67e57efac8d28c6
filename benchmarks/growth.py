"""Time the kernels against pixels, nuclei and threads, and set the bytes they move beside what memory allows.

Run as ``python benchmarks/growth.py [--json OUT] [--markdown OUT] [--largest SIDE]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _kernels.contest import timed
from _kernels.report import surroundings
from _kernels.scenes import SIDE, Labels, Scenes
from nucleus_unet import _core, masks
from nucleus_unet.inference.grouping import group
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import quantise, targets

SIDES = (1024, 2048, 4096, 8192)
SQUARES = (128, 36, 12, 4)
"""Sides of square nuclei, which stand as far apart as they are wide."""

SECONDS = 2.0
"""For which a kernel is called again and again, at least three times."""

Call = Callable[[int | None], Any]
"""Takes the number of threads."""


def kernels(labels: Labels) -> dict[str, tuple[Call, int]]:
    """Return the kernels on a label image, and the bytes of the arrays that each reads and writes."""
    binary = (labels > 0).astype(np.uint8)
    maps = quantise(*targets(labels)[:3])
    strings = [*masks.labels_to_kaggle(labels).values()]
    characters = sum(map(len, strings))
    shifted = np.roll(labels, 2, axis=0)
    shape, four = labels.shape, labels.nbytes
    return {
        "labels to Kaggle strings": (lambda n: masks.labels_to_kaggle(labels, threads=n), four + characters),
        "Kaggle strings to labels": (lambda n: masks.kaggle_to_labels(strings, shape, threads=n), four + characters),
        "components, 8 neighbours": (lambda n: masks.label(binary, connectivity=2, threads=n), binary.nbytes + four),
        "distance, binary": (lambda n: masks.distance(binary, threads=n), binary.nbytes + four),
        "distance, by label": (lambda n: masks.distance(labels, threads=n), 2 * four),
        "group": (lambda n: group(maps, GroupConfig(), threads=n), maps.nbytes + four),
        "measure": (lambda n: _core.measure(labels, threads=n), four),
        "measure shapes": (lambda n: _core.shapes(labels, threads=n), four),
        "overlap table": (lambda n: masks.overlap_table(labels, shifted, threads=n), 2 * four),
        "expand": (lambda n: masks.expand_labels(labels, 5, threads=n), 2 * four),
        "contours": (lambda _: _core.contours(labels), four),
        "relabel": (lambda _: masks.relabel_by_position(labels), 2 * four),
        "filter by area": (lambda _: masks.filter_by_area(labels, min_area=30), 2 * four),
        "fill holes": (lambda _: masks.fill_holes(labels), 2 * four),
    }


ON_ONE_THREAD = ("contours", "relabel", "filter by area", "fill holes")


def main() -> None:
    """Time all, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="file for the tables, which are printed anyway")
    parser.add_argument("--largest", type=int, default=SIDES[-1], metavar="SIDE", help="of images, in pixels (8192)")
    options = parser.parse_args()
    if options.largest < SIDES[0]:
        parser.error(f"--largest: expected {SIDES[0]} at least, got {options.largest}")
    scenes = Scenes(quick=False)
    results: dict[str, Any] = {"surroundings": surroundings(scenes.origin, quick=False), "copy": copied()}
    sides = [side for side in SIDES if side <= options.largest]
    results["pixels"] = {side: measured(cut(scenes, side), threads=(1, 2)) for side in sides}
    results["nuclei"] = {(SIDE // (2 * side)) ** 2: measured(squares(side), threads=(1,)) for side in SQUARES}
    text = markdown(results)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def cut(scenes: Scenes, side: int) -> Labels:
    """Cut real nuclei to a square."""
    return np.ascontiguousarray(scenes.large[:side, :side])


def squares(side: int) -> Labels:
    """Draw square nuclei, which take a quarter of the image whatever their size."""
    across = SIDE // (2 * side)
    labels = np.zeros((SIDE, SIDE), np.uint32)
    rows, columns = np.indices((across, across))
    number = (rows * across + columns + 1).repeat(side, 0).repeat(side, 1)
    place = (np.arange(across * side) // side * 2 * side) + np.arange(across * side) % side
    labels[np.ix_(place, place)] = number
    return labels


def copied() -> float:
    """Measure the bytes a second that copying an array far larger than caches reads and writes, on one thread."""
    source = np.ones(2**28, np.uint8)
    target = np.empty_like(source)
    return 2 * source.nbytes / median(lambda: np.copyto(target, source))


def measured(labels: Labels, *, threads: Sequence[int]) -> dict[str, Any]:
    """Time every kernel on an image: seconds by the number of threads, and its bytes."""
    found = {}
    for name, (call, size) in kernels(labels).items():
        numbers = [1] if name in ON_ONE_THREAD else threads
        found[name] = {"bytes": size, "seconds": {n: median(lambda call=call, n=n: call(n)) for n in numbers}}
    return {"pixels": labels.size, "nuclei": int(np.count_nonzero(np.bincount(labels.ravel())[1:])), "kernels": found}


def median(work: Callable[[], Any]) -> float:
    """Return the median of the seconds that work takes."""
    _, first = timed(work)
    rounds = max(3, min(15, int(SECONDS / first)))
    return statistics.median(timed(work)[1] for _ in range(rounds))


def markdown(results: dict[str, Any]) -> str:
    """Set out three tables: by pixels, by nuclei, by threads."""
    about, copy = results["surroundings"], results["copy"]
    pixels, nuclei = results["pixels"], results["nuclei"]
    largest = pixels[max(pixels)]
    names = list(largest["kernels"])
    lines = [
        f"`python benchmarks/growth.py`; CPU: {about['cpu']}, {os.cpu_count()} cores; load "
        f"{about['load_average_at_start']:.1f} at the start. Nuclei: {about['nuclei']}.",
        "",
        "Nanoseconds a pixel on one thread, for mosaics of real masks; gigabytes a second of the arrays that are read",
        f"and written, for the largest, and as a share of the {copy / 1e9:.1f} GB/s that copying an array reaches; two",
        "threads against one.",
        "",
        *head("kernel", *(f"{side} x {side}" for side in pixels), "GB/s", "of a copy", "two threads"),
    ]
    for name in names:
        by_side = [each["kernels"][name]["seconds"][1] / each["pixels"] * 1e9 for each in pixels.values()]
        kernel = largest["kernels"][name]
        rate = kernel["bytes"] / kernel["seconds"][1]
        gain = f"{kernel['seconds'][1] / kernel['seconds'][2]:.2f}" if 2 in kernel["seconds"] else "uses one"
        lines.append(line(name, *(f"{each:.2f}" for each in by_side), f"{rate / 1e9:.2f}", f"{rate / copy:.0%}", gain))
    lines += [
        "",
        f"Milliseconds on one thread for {SIDE} x {SIDE} pixels, a quarter of them in square nuclei, by their number:",
        "",
        *head("kernel", *(f"{each['nuclei']:,}" for each in nuclei.values())),
    ]
    for name in names:
        lines.append(line(name, *(f"{each['kernels'][name]['seconds'][1] * 1e3:.3g}" for each in nuclei.values())))
    return "\n".join(lines) + "\n"


def head(*cells: str) -> Iterable[str]:
    """Begin a table."""
    return line(*cells), "|---" * len(cells) + "|"


def line(*cells: str) -> str:
    """Set out a row."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
