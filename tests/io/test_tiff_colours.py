"""TIFF files: what a pixel's numbers mean."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import open_plane
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image
from numpy.typing import NDArray
from PIL import Image, ImageCms

ROWS, COLUMNS = np.mgrid[:60, :80]
SMOOTH = np.dstack([COLUMNS * 3, ROWS * 4, ROWS + COLUMNS]).astype(np.uint8)
NUMBERS = (ROWS * 80 + COLUMNS).astype(np.uint16)


def lab_of_pillow(colours: NDArray[np.uint8]) -> Image.Image:
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(Image.fromarray(colours), ImageCms.buildTransform(*profiles))
    assert converted is not None
    return converted


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize(("mode", "tolerance"), [("RGB", 0), ("RGBA", 0), ("CMYK", 1), ("YCbCr", 2)])
def test_colours_of_every_kind_become_red_green_and_blue(
    tmp_path: Path, mode: str, tolerance: int, compression: str
) -> None:
    picture = Image.fromarray(SMOOTH).convert(mode)
    picture.save(tmp_path / "a.tif", compression=compression)
    expected = np.asarray(picture.convert("RGB"))
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("bits", [8, 16])
def test_cie_lab_becomes_srgb_as_a_colour_engine_has_it(tmp_path: Path, bits: int) -> None:
    lab = np.asarray(lab_of_pillow(SMOOTH))
    if bits == 16:
        lab = np.dstack([lab[..., 0] * np.uint16(257), *(lab[..., axis] * np.uint16(256) for axis in (1, 2))])
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab", metadata=None)
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - SMOOTH).mean() < 1
    assert np.abs(read_image(lab_of_pillow(SMOOTH)).astype(int) - SMOOTH).mean() < 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inks_of_every_depth_are_converted(tmp_path: Path, dtype: type[np.unsignedinteger[Any]]) -> None:
    most = np.iinfo(dtype).max
    inks = np.array([[[0, 0, 0, 0], [most, 0, 0, 0], [0, most, most, 0], [0, 0, 0, most]]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", metadata=None)
    expected = np.array([[[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]]]) * most
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


def test_jpeg_tiles_in_ycbcr_are_colours(tmp_path: Path) -> None:
    Image.fromarray(SMOOTH).save(tmp_path / "a.tif", compression="jpeg", quality=95)
    expected = np.asarray(Image.open(tmp_path / "a.tif").convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.tif") - expected).max() <= 2
    tifffile.imwrite(tmp_path / "b.tif", SMOOTH, photometric="rgb", compression="jpeg", compressionargs={"level": 95})
    assert np.abs(read_image(tmp_path / "b.tif").astype(int) - SMOOTH).mean() < 2


def write_bits(path: Path, numbers: NDArray[Any], bits: int, *, photometric: int, palette: Any = ()) -> Path:
    """Write numbers of few bits, perhaps with a palette (3, 2 ** bits), uncompressed, as the specification has it."""
    height, width = numbers.shape
    packed = np.zeros((height, -(-width * bits // 8) * 8), np.uint8)
    for bit in range(bits):
        packed[:, bit : width * bits : bits] = numbers >> (bits - 1 - bit) & 1
    data, colours = np.packbits(packed, axis=1).tobytes(), np.asarray(palette, "<u2").tobytes()
    values = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, photometric)]
    values += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(data))]
    values += [(320, 3, 3 << bits, 8 + len(data))] if colours else []
    tags = struct.pack("<H", len(values)) + b"".join(struct.pack("<HHII", *each) for each in values) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data) + len(colours)) + data + colours + tags)
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_every_depth_are_looked_up(tmp_path: Path, bits: int) -> None:
    numbers = (NUMBERS % 2**bits).astype(np.uint8)
    palette = np.random.default_rng(bits).integers(0, 256, (3, 2**bits)).astype(np.uint16) * 257
    path = write_bits(tmp_path / "a.tif", numbers, bits, photometric=3, palette=palette)
    colours = read_image(path)
    np.testing.assert_array_equal(colours, np.moveaxis(palette[:, numbers], 0, -1))
    np.testing.assert_array_equal(colours // 257, np.asarray(Image.open(path).convert("RGB")))
    with open_image(path, indices=True) as source:
        np.testing.assert_array_equal(source.read(source.plane()), numbers)


def test_a_palette_of_sixteen_bits_is_looked_up(tmp_path: Path) -> None:
    palette = np.stack([np.arange(65536), np.arange(65536)[::-1], np.arange(65536) // 2]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", NUMBERS, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(palette[:, NUMBERS], 0, -1))


def test_each_page_has_a_palette_of_its_own(tmp_path: Path) -> None:
    grey = NUMBERS.astype(np.uint8)
    palettes = np.random.default_rng(0).integers(0, 65536, (3, 3, 256), np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for palette in palettes:
            file.write(grey, photometric="palette", colormap=palette, metadata=None)
    for number, palette in enumerate(palettes):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", time=number), np.moveaxis(palette[:, grey], 0, -1))


def test_the_colour_table_of_imagej_is_for_display_only(tmp_path: Path) -> None:
    table = np.stack([np.arange(256), np.zeros(256), np.zeros(256)]).astype(np.uint8)
    grey = NUMBERS.astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", grey, imagej=True, metadata={"LUTs": [table]}, colormap=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), grey)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "bool"])
def test_white_is_bright_where_zero_is_white(tmp_path: Path, dtype: str, compression: str | None) -> None:
    stored = (NUMBERS % 200).astype(dtype) if dtype != "bool" else NUMBERS % 3 > 0
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite", compression=compression)
    correlation = np.corrcoef(read_image(tmp_path / "a.tif").astype(float).ravel(), stored.astype(float).ravel())
    assert correlation[0, 1] == pytest.approx(-1)


@pytest.mark.parametrize("bits", [2, 4, 10, 12])
def test_where_zero_is_white_the_largest_number_of_the_bits_is_black(tmp_path: Path, bits: int) -> None:
    numbers = NUMBERS % 2**bits
    black = write_bits(tmp_path / "a.tif", numbers, bits, photometric=1)
    np.testing.assert_array_equal(read_image(black), numbers)
    white = write_bits(tmp_path / "b.tif", numbers, bits, photometric=0)
    np.testing.assert_array_equal(read_image(white), 2**bits - 1 - numbers)


def test_zero_is_black_where_the_file_does_not_say_what_it_is(tmp_path: Path) -> None:
    numbers = NUMBERS % 256
    path = write_bits(tmp_path / "a.tif", numbers, 8, photometric=0)
    content = bytearray(path.read_bytes())
    place = content.find(struct.pack("<HHII", 262, 3, 1, 0))
    content[place : place + 2] = struct.pack("<H", 65000)  # a tag of no meaning in the place of this one
    path.write_bytes(content)
    np.testing.assert_array_equal(read_image(path), numbers)


@pytest.mark.parametrize(("extra", "has_alpha"), [("unassalpha", True), ("assocalpha", True), ("unspecified", False)])
def test_a_fourth_sample_is_opacity_only_if_the_file_says_so(tmp_path: Path, extra: str, *, has_alpha: bool) -> None:
    opacity = (COLUMNS * 3).astype(np.uint8)
    pixels = np.dstack([SMOOTH, opacity])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[extra], metadata=None)
    plane = open_plane(tmp_path / "a.tif")
    assert plane.alpha == has_alpha
    region = slice(3, 30), slice(40, 60)
    np.testing.assert_array_equal(plane.read(*region), SMOOTH[region])
    if has_alpha:
        np.testing.assert_array_equal(plane.read_alpha(*region), opacity[region])
    else:
        with pytest.raises(ImageError, match="the image has no alpha channel"):
            plane.read_alpha(*region)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_values_have_opacity_too(tmp_path: Path, photometric: str) -> None:
    grey = SMOOTH[..., 0] if photometric == "minisblack" else 255 - SMOOTH[..., 0]
    pixels = np.dstack([grey, SMOOTH[..., 1]])
    options: dict[str, Any] = {"photometric": photometric, "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    plane = open_plane(tmp_path / "a.tif")
    region = slice(0, 60), slice(0, 80)
    np.testing.assert_array_equal(plane.read(*region), SMOOTH[..., 0] * (SMOOTH[..., 1] > 0))
    np.testing.assert_array_equal(plane.read_alpha(*region), SMOOTH[..., 1])


def test_colours_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SMOOTH, photometric="itulab", metadata=None)
    with pytest.raises(ImageError, match=r"a.tif: expected grey, RGB or channels, got colours as ITULAB; convert it"):
        read_image(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(5)
    with pytest.raises(ImageError, match="got 3 inks of another set; convert it to RGB"):
        read_image(tmp_path / "a.tif")
