"""Regions of TIFF files and of arrays, without reading the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import PICTURE, Foreign, open_plane
from nucleus_unet.errors import ImageError

LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"tile": (64, 48)},
    "deflated tiles": {"tile": (64, 48), "compression": "zlib", "predictor": True},
    "planes apart": {"tile": (64, 48), "compression": "zlib", "planarconfig": "separate"},
    "strips": {"rowsperstrip": 17, "compression": "zlib"},
    "uncompressed": {},
    "BigTIFF": {"tile": (64, 64), "bigtiff": True},
    "big endian": {"tile": (64, 64), "byteorder": ">"},
}
REGIONS = [(slice(0, 210), slice(0, 330)), (slice(50, 131), slice(47, 200)), (slice(209, 210), slice(329, 330))]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_regions_of_tiffs_are_those_of_the_whole(layout: str, dtype: type, tmp_path: Path) -> None:
    path, picture = tmp_path / "slide.tif", PICTURE.astype(dtype) * (1 if dtype == np.uint8 else 256)
    options = LAYOUTS[layout]
    if "planarconfig" in options:
        tifffile.imwrite(path, np.moveaxis(picture, -1, 0), photometric="rgb", **options)
    else:
        tifffile.imwrite(path, picture, photometric="rgb", **options)
    slide = open_plane(path)
    assert (slide.shape, slide.channels, slide.dtype) == ((210, 330), 3, np.dtype(dtype))
    for region in REGIONS:
        np.testing.assert_array_equal(slide.read(*region), picture[region])


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "lzw", "deflate", "zstd", "webp", "packbits"])
@pytest.mark.parametrize("layout", [{"tile": (64, 48)}, {"rowsperstrip": 48}], ids=["tiles", "strips"])
def test_regions_of_every_compression_are_those_that_tifffile_reads(
    tmp_path: Path, compression: str, layout: dict[str, Any]
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", compression=compression, **layout)
    slide, whole = open_plane(path), tifffile.imread(path)
    for region in REGIONS:
        np.testing.assert_array_equal(slide.read(*region), whole[region])


def test_a_channel_of_an_ome_tiff_is_read_by_its_name(tmp_path: Path) -> None:
    path, stack = tmp_path / "slide.ome.tif", np.moveaxis(PICTURE, -1, 0)[[0, 1, 2, 0]]
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP", "Cy3", "Cy5"]}, "PhysicalSizeX": 0.5}
    for compression in None, "zlib":
        tifffile.imwrite(path, stack, ome=True, tile=(64, 64), compression=compression, metadata=names)
        slide = open_plane(path, channel="Cy3")
        assert (slide.channels, slide.mpp) == (None, 0.5)
        for region in REGIONS:
            np.testing.assert_array_equal(slide.read(*region), stack[2][region])
        with pytest.raises(ImageError, match=r"slide.ome.tif: channel: expected one of the 4 channels 'DAPI'"):
            open_plane(path)


def test_of_a_pyramid_the_full_resolution_is_read(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PICTURE, tile=(64, 64), subifds=1, photometric="rgb")
        writer.write(PICTURE[::2, ::2], tile=(64, 64), subfiletype=1, photometric="rgb")
    np.testing.assert_array_equal(open_plane(path).read(*REGIONS[0]), PICTURE)


def test_arrays_are_read_in_parts_whatever_their_axes(tmp_path: Path) -> None:
    np.save(tmp_path / "slide.npy", PICTURE)
    mapped = np.load(tmp_path / "slide.npy", mmap_mode="r")
    planes = np.moveaxis(PICTURE, -1, 0)
    for slide in (
        open_plane(PICTURE),
        open_plane(mapped),
        open_plane(tmp_path / "slide.npy"),
        open_plane(planes, channel_axis=0),
        open_plane(np.concatenate([PICTURE, np.maximum(PICTURE[..., :1], 1)], axis=-1)),
    ):
        for region in REGIONS:
            np.testing.assert_array_equal(slide.read(*region), PICTURE[region])
    np.testing.assert_array_equal(
        open_plane(planes, channel_axis=0, channel=1).read(*REGIONS[1]), PICTURE[REGIONS[1]][..., 1]
    )


def test_arrays_of_other_libraries_are_asked_for_regions_alone() -> None:
    for region in REGIONS:
        np.testing.assert_array_equal(open_plane(Foreign()).read(*region), PICTURE[region])
        np.testing.assert_array_equal(open_plane(Foreign(), channel=2).read(*region), PICTURE[region][..., 2])


def test_white_is_zero_is_turned_as_predict_does(tmp_path: Path) -> None:
    for number, options in enumerate(({}, {"tile": (64, 64)})):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, PICTURE[..., 0], photometric="miniswhite", **options)
        np.testing.assert_array_equal(open_plane(path).read(*REGIONS[1]), 255 - PICTURE[REGIONS[1]][..., 0])


def test_an_axis_that_is_no_channels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), photometric="rgb")
    with pytest.raises(ImageError, match=r"channel_axis: the file's axes are YXS, got 0"):
        open_plane(path, channel_axis=0, channel=3)


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = bytes(20)
    path.write_bytes(content)
    slide = open_plane(path)
    np.testing.assert_array_equal(slide.read(slice(0, 64), slice(0, 64)), PICTURE[:64, :64])
    with pytest.raises(ImageError, match=r"slide.tif: tile or strip 3 \(rows 0 to 64, columns 192 to 256\) is damaged"):
        slide.read(slice(0, 64), slice(0, 330))


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "lzw", "deflate", "zstd", "webp", None])
def test_a_tile_whose_end_is_missing_is_named(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), compression=compression, photometric="rgb", software="", metadata={})
    with tifffile.TiffFile(path, mode="r+") as file:
        counts = list(file.pages.first.databytecounts)
        counts[3] //= 2
        file.pages.first.tags["TileByteCounts"].overwrite(counts)
    with pytest.raises(ImageError, match=r"slide.tif: tile or strip 3 \(rows 0 to 64, columns 192 to 256\) is damaged"):
        open_plane(path).read(slice(0, 64), slice(0, 330))


def test_a_file_that_ends_too_early_is_refused_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, PICTURE, tile=(64, 64), compression="zlib", photometric="rgb")
    with tifffile.TiffFile(path) as file:
        last = file.pages.first.dataoffsets[-1]
    path.write_bytes(path.read_bytes()[: last + 100])
    slide = open_plane(path)
    np.testing.assert_array_equal(slide.read(*REGIONS[1]), PICTURE[REGIONS[1]])
    with pytest.raises(
        ImageError, match=r"tile or strip 23 .* is damaged \(expected \d+ bytes, the file ends after 100"
    ):
        slide.read(*REGIONS[2])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 5), np.complex64), "image dtype: expected bool, or integers .* got complex64"),
        (np.zeros((5, 5, 7), np.uint8), "image shape: expected 1, 3 or 4 channels, got 7 .* give channel_axis=0"),
        (np.zeros(5, np.uint8), "image shape: expected"),
        (["a"], "image dtype: expected bool|image shape"),
        (np.ma.masked_array(np.zeros((5, 5), np.uint8), np.eye(5)), "expected an array without a mask"),
    ],
)
def test_what_is_no_slide_is_refused(array: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        open_plane(array)


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_bytes(b"II*\0" + bytes(30))
    (tmp_path / "b.svs").write_text("not a slide")
    for name in "a.svs", "b.svs":
        with pytest.raises(ImageError, match=name):
            open_plane(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_plane(tmp_path / "c.svs")
