"""One measurement, in a process of its own, so that its peak of memory is its own: prints a line of JSON.

Run by ``slides.py`` as ``python -m _slides.measure WHAT NAME PICTURE TILE THREADS DEVICE``; as ``python -m
_slides.measure compare FOLDER`` for the label images ``tiled.npy`` and ``whole.npy`` that another environment wrote; or
as ``python -m _slides.measure device DEVICE``, which prints what hardware that is.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from _machine import peak_memory
from nucleus_unet import Segmenter
from nucleus_unet.masks import overlap_table

from _slides.contenders import CONTENDERS, WHOLE, Contender, Labels


def main() -> None:
    """Measure and print."""
    if sys.argv[1] == "compare":
        folder = Path(sys.argv[2])
        print(json.dumps(compare(np.load(folder / "tiled.npy"), np.load(folder / "whole.npy"))))
        return
    if sys.argv[1] == "device":
        identity = Segmenter.from_pretrained(device=sys.argv[2]).engine.identity
        print(f"{identity.device} ({identity.hardware}), {identity.engine}, {identity.precision}")
        return
    what, name, picture, tile, threads, device = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    segmenter = Segmenter.from_pretrained(device=device)
    with tempfile.TemporaryDirectory() as folder:
        segmenter.predict_slide(np.eye(64, dtype=np.uint8), out=folder)  # what is only done once, is done
    measure = {"rate": rate, "seams": seams}[what]
    print(json.dumps(measure(segmenter, name, Path(picture), int(tile))))


def rate(segmenter: Segmenter, name: str, picture: Path, tile: int) -> dict[str, Any]:
    """Time a contender once; memory in bytes, before and at its peak."""
    contender = CONTENDERS[name](segmenter, tile)
    contender.prepare(picture)
    before = peak_memory()
    start = time.perf_counter()
    contender.run()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory_before": before, "memory_peak": peak_memory()}


def seams(segmenter: Segmenter, name: str, picture: Path, tile: int) -> dict[str, int]:
    """Compare a contender's nuclei with those it finds in the whole picture at once, pixel by pixel."""
    tiled = _found(CONTENDERS[name](segmenter, tile), picture)
    whole = _found(WHOLE[name](segmenter, tifffile.imread(picture).shape[0]), picture)
    return compare(tiled, whole)


def compare(tiled: Labels, whole: Labels) -> dict[str, int]:
    """Count the nuclei of each that are not, to the pixel, in the other."""
    table = overlap_table(tiled, whole)
    same = (table.pixels == table.areas_a[table.index_a]) & (table.pixels == table.areas_b[table.index_b])
    identical = int(np.count_nonzero(same))
    return {
        "nuclei": len(table.labels_a),
        "differ": len(table.labels_a) - identical,
        "lost": len(table.labels_b) - identical,
    }


def _found(contender: Contender, picture: Path) -> Labels:
    contender.prepare(picture)
    contender.run()
    labels = contender.labels()
    assert labels is not None  # only those that label are asked
    return labels


if __name__ == "__main__":
    main()
