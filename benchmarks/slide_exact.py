"""See that slides, cut into tiles of five sizes by one process and by two, have the very nuclei of the whole picture.

Run as ``python benchmarks/slide_exact.py SLIDE... [--tiles SIDE...] [--json OUT]``. The whole is one call of the
network on the untiled picture, and one of the grouping. The slide is magnified as its file lets tell, and taken without
the tissue mask. The exit status is 0 only if no pixel differs. Needs the ``dask`` extra.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from distributed import Client, LocalCluster
from nucleus_unet import Segmenter
from numpy.typing import NDArray

TILES = (512, 768, 1024, 1280, 1856)


def main() -> None:
    """Compare, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE", help="that a network call can see at once")
    parser.add_argument("--tiles", type=int, nargs="+", default=TILES, metavar="SIDE", help="sides of tiles")
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for what came out, which is printed anyway")
    options = parser.parse_args()
    segmenter = Segmenter.from_pretrained(device="cpu")
    rows = []
    print("| slide | pixels | nuclei | tile | processes | pixels that differ |\n|---|---|---|---|---|---|")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        for slide in options.slides:
            whole = _whole(segmenter, slide)
            for tile in options.tiles:
                for processes, workers in ((1, None), (2, client)):
                    differ = _differing(segmenter, slide, whole, tile=tile, client=workers)
                    found: dict[str, Any] = {"slide": slide.name, "shape": whole.shape, "nuclei": int(whole.max())}
                    rows.append({**found, "tile": tile, "processes": processes, "differ": differ})
                    height, width = whole.shape
                    print(f"| {slide.name} | {height} x {width} | {whole.max()} | {tile} | {processes} | {differ} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    sys.exit(any(row["differ"] for row in rows))


def _whole(segmenter: Segmenter, slide: Path) -> NDArray[np.uint32]:
    """Return the labels of `predict` with a tile that no picture of a network call's size fills."""
    return segmenter.predict(slide, tile=2**16).labels


def _differing(
    segmenter: Segmenter, slide: Path, whole: NDArray[np.uint32], *, tile: int, client: Client | None
) -> int:
    """Count the pixels that have another label on the slide than in the whole."""
    with tempfile.TemporaryDirectory() as out:
        result = segmenter.predict_slide(slide, out=out, tile=tile, workers=1, tissue=False, client=client)
        return int(np.count_nonzero(tifffile.imread(result.labels_path) != whole))


if __name__ == "__main__":
    main()
