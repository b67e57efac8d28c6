"""Levels of TIFF pyramids as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from nucleus_unet.errors import ImageError
from nucleus_unet.io.pyramid import open_levels

COLOURS = np.random.default_rng(0).integers(0, 256, (130, 170, 3), dtype=np.uint8)


def stored(path: Path, pixels: Any, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, tile=(64, 64), **options)
    return path


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:],
        np.s_[10:90, 20:160],
        np.s_[5],
        np.s_[-1, -2],
        np.s_[..., 1],
        np.s_[3:90:7, ::5, 0],
        np.s_[200:300, 5:9],
        np.s_[np.int64(3), np.s_[0:9]],
    ],
)
def test_a_level_is_indexed_as_an_array_of_numpy(tmp_path: Path, key: Any) -> None:
    [level] = open_levels(stored(tmp_path / "a.tif", COLOURS, photometric="rgb", compression="zlib"))
    assert np.array_equal(level[key], COLOURS[key])
    assert (level.shape, level.ndim, level.dtype, len(level)) == (COLOURS.shape, 3, COLOURS.dtype, len(COLOURS))


def test_numpy_takes_a_level_as_an_array(tmp_path: Path) -> None:
    [level] = open_levels(stored(tmp_path / "a.tif", COLOURS[..., 0]))
    assert np.array_equal(np.asarray(level), COLOURS[..., 0])


def test_a_place_beyond_a_level_is_an_index_error(tmp_path: Path) -> None:
    [level] = open_levels(stored(tmp_path / "a.tif", COLOURS[..., 0]))
    with pytest.raises(IndexError):
        level[130]


def test_a_file_that_is_no_tiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="expected a TIFF file"):
        open_levels(tmp_path / "a.tif")


def test_a_stack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected one plane, got axes ZYX"):
        open_levels(stored(tmp_path / "a.tif", COLOURS, metadata={"axes": "ZYX"}, photometric="minisblack", ome=True))
