"""StarDist's `predict_instances_big` (BSD-3), in an environment of its own, where nothing of this library is.

Run by ``slides.py``, with the interpreter that ``--stardist`` names, as one of

- ``python -m _slides.stardist_peer train NETWORK``
- ``python -m _slides.stardist_peer rate NETWORK PICTURE TILE THREADS``: prints a line of JSON
- ``python -m _slides.stardist_peer labels NETWORK PICTURE TILE THREADS FOLDER``: writes ``tiled.npy`` and ``whole.npy``

The network is trained just long enough to find nuclei: its rate and its seams are measured, not how well it finds them.
"""

from __future__ import annotations

import json
import sys
import time
import zipfile
from itertools import islice
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tensorflow
import tifffile
from _machine import peak_memory
from csbdeep.utils import normalize
from numpy.typing import NDArray
from stardist.models import Config2D, StarDist2D

from _slides.picture import ARCHIVE

Labels = NDArray[np.uint32]

# As its own example of large images has them; a block is as large as the others' tiles.
_OVERLAP, _CONTEXT = 128, 128
# Images of 256 pixels a side, the last ones for validation.
_IMAGES, _HELD_OUT = 60, 8
_EPOCHS, _STEPS = 8, 50


def main() -> None:
    """Do what is asked."""
    what, network, *arguments = sys.argv[1:]
    {"train": train, "rate": rate, "labels": labels}[what](Path(network), *arguments)


def train(network: Path) -> None:
    """Train on a few images of stage1_train.zip, for so many steps; choose the thresholds on others."""
    pairs = _examples()
    images, masks = zip(*pairs, strict=True)
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=1,
        train_patch_size=(128, 128),
        train_learning_rate=1e-3,
        train_epochs=_EPOCHS,
        train_steps_per_epoch=_STEPS,
        train_tensorboard=False,
    )
    model = StarDist2D(config, name=network.name, basedir=str(network.parent))
    held_out = images[-_HELD_OUT:], masks[-_HELD_OUT:]
    model.train(images[:-_HELD_OUT], masks[:-_HELD_OUT], validation_data=held_out, seed=0)
    model.optimize_thresholds(*held_out)


def rate(network: Path, picture: str, tile: str, threads: str) -> None:
    """Time it once, as `_slides.measure` times the others."""
    model, image = _prepare(network, Path(picture), int(threads))
    before = peak_memory()
    start = time.perf_counter()
    _tiled(model, image, int(tile))
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "memory_before": before, "memory_peak": peak_memory()}))


def labels(network: Path, picture: str, tile: str, threads: str, folder: str) -> None:
    """Keep what it finds in blocks, and in the whole picture at once."""
    model, image = _prepare(network, Path(picture), int(threads))
    np.save(Path(folder) / "tiled.npy", _tiled(model, image, int(tile)))
    np.save(Path(folder) / "whole.npy", _labels(model.predict_instances(_normalised(image), axes="YX")))


def _prepare(network: Path, picture: Path, threads: int) -> tuple[Any, NDArray[np.uint8]]:
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    model = StarDist2D(None, name=network.name, basedir=str(network.parent))
    image = tifffile.imread(picture)
    model.predict_instances(_normalised(image[:64, :64]))  # what is only done once, is done
    return model, image


def _tiled(model: Any, image: NDArray[np.uint8], tile: int) -> Labels:
    settings = {"block_size": tile, "min_overlap": _OVERLAP, "context": _CONTEXT, "show_progress": False}
    return _labels(model.predict_instances_big(_normalised(image), axes="YX", **settings))


def _labels(found: tuple[NDArray[Any], Any]) -> Labels:
    return found[0].astype(np.uint32)


def _normalised(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    normalised: NDArray[np.float32] = normalize(image, 1, 99.8)
    return normalised


def _examples() -> list[tuple[NDArray[np.float32], Labels]]:
    """Read dark images of 256 pixels a side, by name, and their nuclei."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        masks: dict[str, list[str]] = {}
        for name in names:
            if "/masks/" in name:
                masks.setdefault(name.partition("/masks/")[0], []).append(name)

        def decoded(name: str) -> NDArray[np.uint8]:
            image = np.asarray(imagecodecs.png_decode(archive.read(name)))
            return image if image.ndim == 2 else image[..., 0]

        images = ((name, decoded(name)) for name in names if "/images/" in name)
        dark = ((name, image) for name, image in images if image.shape == (256, 256) and image.mean() < 64)
        pairs = []
        for name, image in islice(dark, _IMAGES):
            labelled = np.zeros(image.shape, np.uint32)
            for number, mask in enumerate(masks[name.partition("/images/")[0]], start=1):
                labelled[decoded(mask) > 0] = number
            pairs.append((_normalised(image), labelled))
        return pairs


if __name__ == "__main__":
    main()
