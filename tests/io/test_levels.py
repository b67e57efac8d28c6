"""The coarser levels of pyramids: read for pictures, and never segmented."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from nucleus_unet.errors import ImageError
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.source import open_image
from numpy.typing import NDArray

FULL = np.random.default_rng(4).integers(0, 60000, (2, 512, 384), dtype=np.uint16)
LEVELS = [FULL, FULL[:, ::2, ::2] // 2, FULL[:, ::4, ::4] // 4]


def write_ome_tiff(path: Path, levels: list[NDArray[np.uint16]]) -> Path:
    with tifffile.TiffWriter(path, ome=True) as file:
        options = {"tile": (128, 128), "photometric": "minisblack", "compression": "zlib"}
        metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        file.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for level in levels[1:]:
            file.write(level, subfiletype=1, **options)
    return path


def write_ome_zarr(path: Path, levels: list[NDArray[np.uint16]]) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": str(each)} for each in range(len(levels))]}
    ]
    for number, level in enumerate(levels):
        group.create_array(str(number), shape=level.shape, dtype=level.dtype, chunks=(1, 128, 128))[...] = level
    return path


def write_colour_tiff(path: Path, levels: list[NDArray[np.uint16]]) -> Path:
    """As SVS files have it: levels are pages of their own that nothing marks as such."""
    with tifffile.TiffWriter(path) as file:
        for level in levels:
            colours = np.stack([level[0], level[1], level[0]], axis=-1)
            file.write(colours, tile=(128, 128), photometric="rgb", metadata=None)
    return path


@pytest.mark.parametrize("kind", ["tif", "zarr"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_level_is_read_as_it_is_stored(tmp_path: Path, kind: str, level: int) -> None:
    path = {"tif": write_ome_tiff, "zarr": write_ome_zarr}[kind](tmp_path / f"pyramid.ome.{kind}", LEVELS)
    with open_image(path) as source:
        assert source.readable_levels() == tuple(each.shape[1:] for each in LEVELS)
        plane = source.plane(channel=1, level=level)
        assert plane.shape == LEVELS[level].shape[1:]
        np.testing.assert_array_equal(plane.read(slice(5, 100), slice(3, 90)), LEVELS[level][1, 5:100, 3:90])


def test_levels_that_are_pages_of_their_own_are_read(tmp_path: Path) -> None:
    with open_image(write_colour_tiff(tmp_path / "pages.tif", LEVELS)) as source:
        assert source.readable_levels() == tuple(each.shape[1:] for each in LEVELS)
        read = source.plane(level=2).read(slice(0, 128), slice(0, 96))
    np.testing.assert_array_equal(read[..., 1], LEVELS[2][1])


def test_channels_of_a_level_are_combined_as_those_of_the_image(tmp_path: Path) -> None:
    with open_image(write_ome_tiff(tmp_path / "pyramid.ome.tif", LEVELS)) as source:
        selection = Selection(channel=["DAPI", "GFP"], combine="max")
        plane = selection.open(source, selection.places(source)[0], level=1)
        np.testing.assert_array_equal(plane.read(slice(0, 256), slice(0, 192)), LEVELS[1].max(axis=0))


def test_an_image_without_a_pyramid_has_one_level(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", FULL[0])
    with open_image(tmp_path / "flat.tif") as source:
        assert source.readable_levels() == ((512, 384),)
        with pytest.raises(ImageError, match="level: expected 0 to 0, got 1"):
            source.plane(level=1)


def test_many_threads_read_many_levels_at_the_same_time(tmp_path: Path) -> None:
    """All levels share the position of one file, so a reader must not move it under another."""
    path = write_ome_tiff(tmp_path / "pyramid.ome.tif", LEVELS)
    for _ in range(5):
        with open_image(path) as source, ThreadPoolExecutor(12) as pool:
            planes = [
                (level, number, source.plane(channel=number, level=level)) for level in range(3) for number in (0, 1)
            ]
            jobs = [
                (level, number, top, pool.submit(plane.read, slice(top, top + 64), slice(0, plane.shape[1])))
                for level, number, plane in planes
                for top in range(0, plane.shape[0], 64)
            ]
            for level, number, top, job in jobs:
                np.testing.assert_array_equal(job.result(), LEVELS[level][number, top : top + 64])
