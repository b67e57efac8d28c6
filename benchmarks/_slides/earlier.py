"""`predict_slide` of whichever version of the library an interpreter has, with that version's own tiles.

Run by ``slides.py`` as ``PYTHON -m _slides.earlier PICTURE THREADS``: prints a line of JSON. Only what all versions
have is used.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

from _machine import peak_memory


def main() -> None:
    """Measure and print."""
    picture, threads = sys.argv[1:]
    os.environ["OMP_NUM_THREADS"] = threads
    import numpy as np
    from nucleus_unet import Segmenter

    segmenter = Segmenter.from_pretrained(device="cpu")
    with tempfile.TemporaryDirectory() as folder:  # what is only done once, is done
        segmenter.predict_slide(np.eye(64, dtype=np.uint8), out=folder)
    with tempfile.TemporaryDirectory() as folder:
        before = peak_memory()
        start = time.perf_counter()
        segmenter.predict_slide(picture, out=folder)
        seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "memory_before": before, "memory_peak": peak_memory()}))


if __name__ == "__main__":
    main()
