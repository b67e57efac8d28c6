"""Who is measured: this library's slides, the network alone, and MONAI's sliding windows around the same network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from nucleus_unet import Segmenter
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import maps_of_output, padded_size, read_padded
from nucleus_unet.inference.tiles import lay_tiles
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range
from numpy.typing import NDArray

Labels = NDArray[np.uint32]


class Contender(Protocol):
    """Something that finds nuclei in a file, or does a part of it."""

    def prepare(self, path: Path) -> None:
        """Do what is not timed."""
        ...

    def run(self) -> None:
        """Do what is timed."""
        ...

    def labels(self) -> Labels | None:
        """Return what was found; None where that is no label image."""
        ...


class SlidePipeline:
    """From the file to table, labels and outlines on disk."""

    def __init__(self, segmenter: Segmenter, tile: int) -> None:
        self._segmenter, self._tile = segmenter, tile

    def prepare(self, path: Path) -> None:
        """See `Contender`."""
        self._path, self._out = path, tempfile.TemporaryDirectory()
        with tempfile.TemporaryDirectory() as folder:  # what is only done once, is done
            self._segmenter.predict_slide(np.eye(64, dtype=np.uint8), out=folder, tile=self._tile)

    def run(self) -> None:
        """See `Contender`."""
        # At the reference diameter, as the others do not look for the scale.
        diameter = self._segmenter.bundle.config.diameter
        self._result = self._segmenter.predict_slide(self._path, out=self._out.name, tile=self._tile, diameter=diameter)

    def labels(self) -> Labels:
        """See `Contender`."""
        return tifffile.imread(self._result.labels_path)


class Whole:
    """`Segmenter.predict` with one network call: what the pipeline's tiles are compared with."""

    def __init__(self, segmenter: Segmenter, tile: int) -> None:
        self._segmenter, self._tile = segmenter, tile

    def prepare(self, path: Path) -> None:
        """See `Contender`."""
        self._image = tifffile.imread(path)

    def run(self) -> None:
        """See `Contender`."""
        diameter = self._segmenter.bundle.config.diameter
        self._labels = self._segmenter.predict(self._image, tile=self._tile, diameter=diameter).labels

    def labels(self) -> Labels:
        """See `Contender`."""
        return self._labels


class NetworkAlone:
    """The network on the pipeline's tiles and streams, from memory: no reading, no grouping, no files."""

    def __init__(self, segmenter: Segmenter, tile: int) -> None:
        self._engine, self._tile = segmenter.engine.parallel(), tile

    def prepare(self, path: Path) -> None:
        """See `Contender`."""
        image = _normalised(path)
        stride, radius = self._engine.stride, self._engine.receptive_radius
        height, width = padded_size(image.shape, stride)
        tiles = lay_tiles(height, width, tile=self._tile, radius=radius, stride=stride)
        self._tiles = [read_padded(lambda *part: image[part], image.shape, each) for each in tiles]

    def run(self) -> None:
        """See `Contender`."""
        with ThreadPoolExecutor(self._engine.streams) as pool:
            for _ in pool.map(lambda tile: self._engine.run(tile[None]).shape, self._tiles):
                pass

    def labels(self) -> None:
        """See `Contender`."""


class Monai:
    """MONAI's `sliding_window_inference` with the same network, and this library's grouping of the blended whole."""

    def __init__(self, segmenter: Segmenter, tile: int, *, mode: str) -> None:
        self._engine, self._config = segmenter.engine, segmenter.bundle.config.grouping
        self._tile, self._mode = tile, mode

    def prepare(self, path: Path) -> None:
        """See `Contender`."""
        from monai.inferers import sliding_window_inference

        self._infer, self._path = sliding_window_inference, path

    def run(self) -> None:
        """See `Contender`."""
        import torch  # only here: it takes memory that other contenders do not need

        image = torch.from_numpy(_normalised(self._path)).expand(1, 3, -1, -1)
        with torch.inference_mode():
            blended = self._infer(
                image,
                roi_size=(self._tile, self._tile),
                sw_batch_size=1,
                predictor=self._predict,
                overlap=0.25,
                mode=self._mode,
            )
        self._labels = group(maps_of_output(blended[0].numpy()), self._config).labels

    def _predict(self, windows: Any) -> Any:
        import torch

        return torch.from_numpy(self._engine.run(windows.permute(0, 2, 3, 1).contiguous().numpy()))

    def labels(self) -> Labels:
        """See `Contender`."""
        return self._labels


def _normalised(path: Path) -> NDArray[np.float32]:
    image = tifffile.imread(path)
    levels = percentile_range(image)
    assert levels is not None  # as there are nuclei in it
    return normalise(image, levels)


CONTENDERS: dict[str, Callable[[Segmenter, int], Contender]] = {
    "predict_slide": SlidePipeline,
    "network alone": NetworkAlone,
    "MONAI, constant": lambda segmenter, tile: Monai(segmenter, tile, mode="constant"),
    "MONAI, gaussian": lambda segmenter, tile: Monai(segmenter, tile, mode="gaussian"),
}
"""By the names they have in the report."""

WHOLE: dict[str, Callable[[Segmenter, int], Contender]] = {
    "predict_slide": Whole,
    "MONAI, constant": CONTENDERS["MONAI, constant"],
    "MONAI, gaussian": CONTENDERS["MONAI, gaussian"],
}
"""What finds the nuclei of the whole picture at once, for a tile as large as the picture."""
