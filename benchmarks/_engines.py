"""The rate of one engine, in a process of its own: prints a line of JSON.

Run by ``engines.py`` as ``PYTHON _engines.py ENGINE PRECISION SIDE``. With an earlier version of the library, only what
all versions have is used.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _machine import peak_memory
from nucleus_unet import Segmenter
from numpy.typing import NDArray

_TILE, _REPEATS = 1024, 6


def main() -> None:
    """Measure and print."""
    engine, precision, side = sys.argv[1:]
    print(json.dumps(_rate_of_onnx() if engine == "ONNX Runtime" else _rate(_segmenter(precision), int(side))))


def _segmenter(precision: str) -> Segmenter:
    options: dict[str, Any] = {"precision": precision} if precision else {}
    return Segmenter.from_pretrained(device="cpu", **options)


def _rate(segmenter: Segmenter, side: int) -> dict[str, Any]:
    shown = np.random.default_rng(0).random((1, _TILE, _TILE, 3), dtype=np.float32)
    engine = getattr(segmenter, "engine", None)
    network, digest = None, ""
    if engine is not None:
        digest = hashlib.sha256(engine.run(shown).tobytes()).hexdigest()[:8]
        network = _rate_of(lambda: engine.run(shown))
    picture = _picture(side)
    segmenter.predict(picture[:256, :256])
    start = time.perf_counter()
    segmenter.predict(picture)
    seconds = time.perf_counter() - start
    return {
        "network": network,
        "predict": side * side / seconds / 1e6,
        "digest": digest,
        "memory_peak": peak_memory(),
    }


def _rate_of_onnx() -> dict[str, Any]:
    import onnxruntime
    from nucleus_unet.exports.model import export_model
    from nucleus_unet.inference.devices import processor_threads
    from nucleus_unet.model.bundle import load_bundle

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_model(load_bundle(), path, "onnx")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = processor_threads()
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    shown = np.random.default_rng(0).random((1, 3, _TILE, _TILE), dtype=np.float32)
    rate = _rate_of(lambda: session.run(None, {"image": shown}))
    return {"network": rate, "predict": None, "digest": "", "memory_peak": peak_memory()}


def _rate_of(run: Callable[[], object]) -> float:
    run()
    start = time.perf_counter()
    for _ in range(_REPEATS):
        run()
    return _REPEATS * _TILE**2 / (time.perf_counter() - start) / 1e6


def _picture(side: int) -> NDArray[np.uint8]:
    """Draw discs of many sizes on a noisy ground."""
    rng = np.random.default_rng(0)
    tile = rng.integers(10, 40, (512, 512)).astype(np.uint8)
    rows, columns = np.ogrid[:512, :512]
    for row, column, radius in zip(*rng.integers(12, 500, (2, 120)), rng.integers(6, 16, 120), strict=True):
        tile[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] += 120
    repeats = -(-side // 512)
    return np.tile(tile, (repeats, repeats))[:side, :side]


if __name__ == "__main__":
    main()
