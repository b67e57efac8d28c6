"""Training sees of a file what `predict` sees, and label images keep their numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.io.source import read_image
from PIL import Image

ROWS, COLUMNS = np.mgrid[:60, :80]
GREY = (ROWS * 2 + COLUMNS).astype(np.uint8)
COLOURS = np.dstack([COLUMNS * 3, ROWS * 4, ROWS + COLUMNS]).astype(np.uint8)
LABELS = ((ROWS // 20) * 4 + COLUMNS // 20).astype(np.uint16)
RAMP = np.stack([np.arange(255, -1, -1) * 257] * 3).astype(np.uint16)
Write = Callable[[Path], Any]

IMAGES: dict[str, Write] = {
    "white": lambda path: tifffile.imwrite(path, 255 - GREY, photometric="miniswhite"),
    "palette": lambda path: tifffile.imwrite(path, 255 - GREY, photometric="palette", colormap=RAMP),
    "inks": lambda path: Image.fromarray(COLOURS).convert("CMYK").save(path),
    "ycbcr": lambda path: Image.fromarray(COLOURS).convert("YCbCr").save(path),
    "opacity": lambda path: Image.fromarray(COLOURS).convert("RGBA").save(path),
    "planar": lambda path: tifffile.imwrite(
        path, np.moveaxis(COLOURS, -1, 0), photometric="rgb", planarconfig="separate"
    ),
    "one-plane": lambda path: tifffile.imwrite(path, GREY[None, None], imagej=True, metadata={"axes": "ZCYX"}),
}


@pytest.mark.parametrize("name", IMAGES)
def test_training_sees_what_predict_sees(tmp_path: Path, name: str) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    IMAGES[name](tmp_path / "images" / "a.tif")
    tifffile.imwrite(tmp_path / "masks" / "a.tif", LABELS)
    (example,), _ = read_examples(tmp_path)
    seen = read_image(tmp_path / "images" / "a.tif")
    is_grey = seen.ndim == 3 and (seen == seen[..., :1]).all()
    np.testing.assert_array_equal(example.image, seen[..., 0] if is_grey else seen)


def _write_palette_png(path: Path) -> None:
    picture = Image.fromarray(LABELS.astype(np.uint8))
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    picture.save(path)


LABEL_IMAGES: dict[str, tuple[str, Write]] = {
    "a palette in TIFF": (
        "a.tif",
        lambda path: tifffile.imwrite(path, LABELS.astype(np.uint8), photometric="palette", colormap=RAMP),
    ),
    "a palette in PNG": ("a.png", _write_palette_png),
    "32 bits": ("a.tif", lambda path: tifffile.imwrite(path, LABELS.astype(np.int32))),
    "64 bits": ("a.tif", lambda path: tifffile.imwrite(path, LABELS.astype(np.int64))),
    "zero is white": ("a.tif", lambda path: tifffile.imwrite(path, LABELS, photometric="miniswhite")),
}


@pytest.mark.parametrize("kind", LABEL_IMAGES)
def test_label_images_keep_their_numbers_however_they_are_shown(tmp_path: Path, kind: str) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    name, write = LABEL_IMAGES[kind]
    tifffile.imwrite(tmp_path / "images" / "a.tif", GREY)
    write(tmp_path / "masks" / name)
    (example,), _ = read_examples(tmp_path)
    np.testing.assert_array_equal(example.labels, LABELS)
