"""TIFF files: which page is what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.confocal import write_lsm, write_stk
from helpers.images import GREY, RGB
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image

BYTES = (GREY % 251).astype(np.uint8)


def write(path: Path, *pages: tuple[Any, dict[str, Any]]) -> Path:
    with tifffile.TiffWriter(path) as file:
        for pixels, options in pages:
            file.write(pixels, **{"metadata": None, **options})
    return path


REDUCED = {"subfiletype": 1}
PLAIN: dict[str, Any] = {}


@pytest.mark.parametrize("unmarked", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_of_an_image_and_its_thumbnail_the_image_is_read(tmp_path: Path, *, unmarked: bool, first: bool) -> None:
    pages = [(BYTES, PLAIN), (BYTES[::2, ::2].copy(), PLAIN if unmarked else REDUCED)]
    path = write(tmp_path / "a.tif", *(pages[::-1] if first else pages))
    np.testing.assert_array_equal(read_image(path), BYTES)
    with open_image(path) as source:
        assert source.levels == ((30, 40), (15, 20))


def test_a_thumbnail_in_colour_is_no_level_and_no_scene(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (RGB[::3, ::3].copy(), {"photometric": "rgb", **REDUCED}), (BYTES, PLAIN))
    np.testing.assert_array_equal(read_image(path), BYTES)


def test_images_of_other_sizes_are_scenes_to_choose_from(tmp_path: Path) -> None:
    pages = [BYTES, BYTES[:25, :35].copy(), GREY[:20, :20].copy()]
    path = write(tmp_path / "a.tif", *((page, PLAIN) for page in pages))
    with pytest.raises(ImageError, match=r"a.tif: it has 3 scenes \(0, 1, 2\); choose one with --scene"):
        read_image(path)
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(read_image(path, scene=number), page)
    with pytest.raises(ImageError, match="scene: expected 0 to 2, or -3 to -1, got 3"):
        read_image(path, scene=3)


def test_a_transparency_mask_is_no_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", (RGB, {"photometric": "rgb"}), (BYTES[:, :] > 9, {"subfiletype": 4}))
    np.testing.assert_array_equal(read_image(path), RGB)
    with open_image(path) as source:
        assert source.warnings == ("its transparency mask is not read",)


def test_time_plane_and_channel_of_a_hyperstack_are_chosen_by_name(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 60000, (2, 3, 2, 30, 40)).astype(np.uint16)
    axes = {"axes": "TZCYX"}
    tifffile.imwrite(tmp_path / "whole.tif", stack, imagej=True, metadata=axes)
    tifffile.imwrite(tmp_path / "pieces.tif", stack, imagej=True, metadata=axes, compression="zlib")
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=axes, tile=(16, 16))
    for path in sorted(tmp_path.iterdir()):
        with open_image(path) as source:
            assert source.sizes == {"T": 2, "Z": 3, "C": 2, "Y": 30, "X": 40}
        with pytest.raises(ImageError, match=r"it has 2 times \(axes T 2, Z 3, C 2, Y 30, X 40\)"):
            read_image(path)
        with pytest.raises(ImageError, match=r"it has 3 planes .*--z 1"):
            read_image(path, time=0)
        with pytest.raises(ImageError, match="expected one of the 2 channels"):
            read_image(path, time=0, z=0)
        np.testing.assert_array_equal(read_image(path, time=1, z=-1, channel=0), stack[1, 2, 0])


def test_colours_of_several_planes_stay_colours(tmp_path: Path) -> None:
    stack = np.stack([RGB, RGB[::-1]])
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYXS"})
    tifffile.imwrite(tmp_path / "b.tif", stack, photometric="rgb", metadata=None)
    for name in "a.tif", "b.tif":
        np.testing.assert_array_equal(read_image(tmp_path / name, z=1), stack[1])


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("kind", ["pages", "minisblack samples", "separate samples"])
def test_channels_that_are_not_said_to_be_colours_are_asked_about(tmp_path: Path, count: int, kind: str) -> None:
    stack = np.stack([BYTES + np.uint8(number) for number in range(count)])
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    if kind == "minisblack samples":
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(stack, 0, -1), planarconfig="contig", **options)
    else:
        tifffile.imwrite(tmp_path / "a.tif", stack, planarconfig="separate" if kind != "pages" else None, **options)
    with pytest.raises(ImageError, match="--channel"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", channel=1), stack[1])
    if count == 3:
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", channel="rgb"), np.moveaxis(stack, 0, -1))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_of_an_array_of_many_axes_are_counted_through(tmp_path: Path, compression: str | None) -> None:
    stack = np.stack([GREY + np.uint8(7 * number) for number in range(6)])
    tifffile.imwrite(
        tmp_path / "a.tif", stack.reshape(2, 3, *GREY.shape), photometric="minisblack", compression=compression
    )
    with pytest.raises(ImageError, match="it has 6 pages, and nothing says what they are"):
        read_image(tmp_path / "a.tif")
    for number, page in enumerate(stack):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", z=number), page)


@pytest.mark.parametrize("axes", ["QCYX", "CQYX"])
def test_a_channel_is_asked_for_beside_pages_that_nothing_explains(tmp_path: Path, axes: str) -> None:
    stack = np.stack([GREY + np.uint8(7 * number) for number in range(6)]).reshape(2, 3, *GREY.shape)
    stored = stack if axes == "QCYX" else stack.swapaxes(0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", metadata={"axes": axes})
    with pytest.raises(ImageError, match=r"choose one with --z or --time, such as --z 0 to --z 1"):
        read_image(tmp_path / "a.tif", channel=0)
    with pytest.raises(ImageError, match="expected one of the 3 channels '0', '1', '2', got none"):
        read_image(tmp_path / "a.tif", z=0)
    for page, channel in np.ndindex(2, 3):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", time=page, channel=channel), stack[page, channel])


def test_pages_beside_times_planes_and_channels_are_refused(tmp_path: Path) -> None:
    stack = np.zeros((2, 2, 2, 2, *GREY.shape), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "QTZCYX"})
    with pytest.raises(ImageError, match="it has an axis of 2 beside times, planes and channels, which is not read"):
        read_image(tmp_path / "a.tif", time=0, z=0, channel=0)


@pytest.mark.parametrize("axes", ["YXC", "ZYXC", "CYX"])
def test_samples_that_the_writer_called_channels_are_channels(tmp_path: Path, axes: str) -> None:
    planes = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
    layout: Any = "separate" if axes == "CYX" else "contig"
    stored = planes if axes == "CYX" else np.moveaxis(planes, 0, -1)
    stored = np.stack([np.zeros_like(stored), stored]) if axes == "ZYXC" else stored
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=layout, metadata={"axes": axes})
    chosen = {"z": 1} if axes == "ZYXC" else {}
    for number, plane in enumerate(planes):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", channel=number, **chosen), plane)


def test_a_page_of_a_stack_is_never_taken_apart_by_columns(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 5), metadata=None)
    assert read_image(tmp_path / "a.tif", channel=0).shape == GREY.shape
    with pytest.raises(ImageError, match="channel: expected 0 to 4, or -5 to -1, got 20"):
        read_image(tmp_path / "a.tif", channel=20)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "dtype", [*(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), "float16"]
)
def test_every_dtype_of_finite_numbers_is_read(
    tmp_path: Path, dtype: str, byteorder: Any, compression: str | None
) -> None:
    values = (BYTES // 2).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=byteorder, compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), values)


def test_twelve_bits_are_sixteen(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, bitspersample=12)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY.astype(np.complex64))
    with pytest.raises(
        ImageError, match=r"a.tif: image dtype: expected bool, or integers or floating point .* complex64"
    ):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("kind", "value"), [("Orientation", 6)])
def test_an_orientation_is_named_and_not_applied(tmp_path: Path, kind: str, value: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", BYTES, extratags=[(274, 3, 1, value, True)], metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), BYTES)
    with open_image(tmp_path / "a.tif") as source:
        assert source.warnings == ("its orientation, 6, is not applied: results lie on the pixels as stored",)


@pytest.mark.parametrize(
    ("dots", "unit", "expected"),
    [
        (20_040, "CENTIMETER", 0.499),
        (50_902, "INCH", 0.499),
        (72, "INCH", None),
        (300, "INCH", None),
        (1200, "INCH", None),
        (20_040, "NONE", None),
        (0, "INCH", None),
    ],
)
def test_the_resolution_is_the_pixel_size_unless_it_is_for_printing(
    tmp_path: Path, dots: int, unit: Any, expected: float | None
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", BYTES, resolution=(dots, dots), resolutionunit=unit, metadata=None)
    with open_image(tmp_path / "a.tif") as source:
        assert source.pixel_size == (None if expected is None else pytest.approx(expected, abs=1e-3))


def write_qptiff(path: Path, *names: str) -> Path:
    text = (
        "<PerkinElmer-QPI-ImageDescription><ImageType>{}</ImageType><Name>{}</Name></PerkinElmer-QPI-ImageDescription>"
    )
    options: dict[str, Any] = {"tile": (16, 16), "software": "PerkinElmer-QPI", "compression": "zlib"}
    full = [(np.tile(BYTES, (2, 2)) + np.uint8(number), name) for number, name in enumerate(names)]
    pages = [(page, {**options, "description": text.format("FullResolution", name)}) for page, name in full]
    pages += [(RGB, {"photometric": "rgb", "description": text.format("Thumbnail", ""), "software": "PerkinElmer-QPI"})]
    pages += [
        (page[::2, ::2].copy(), {**options, **REDUCED, "description": text.format("ReducedResolution", name)})
        for page, name in full
    ]
    return write(path, *pages)


def test_the_stains_of_a_qptiff_are_chosen_by_name(tmp_path: Path) -> None:
    path = write_qptiff(tmp_path / "a.qptiff", "DAPI", "CD3", "CD8")
    with open_image(path) as source:
        assert [channel.name for channel in source.channels] == ["DAPI", "CD3", "CD8"]
        assert source.levels == ((60, 80), (30, 40))
    with pytest.raises(ImageError, match="expected one of the 3 channels 'DAPI', 'CD3', 'CD8', got none"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, channel="cd8"), np.tile(BYTES, (2, 2)) + np.uint8(2))


def test_a_stack_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([BYTES] * 3), photometric="minisblack")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:2000])
    with pytest.raises(
        ImageError, match=r"a.tif: it is damaged: expected at least \d+ bytes, the file ends after 2000"
    ):
        read_image(tmp_path / "a.tif", z=0)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_samples_of_an_lsm_are_channels_even_three_of_them(
    tmp_path: Path, channels: int, compression: str | None
) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (4, channels, 30, 40)).astype(np.uint8)
    path = write_lsm(tmp_path / "a.lsm", stack, micrometres=0.25, compression=compression)
    with open_image(path) as source:
        assert (source.format, source.pixel_size) == ("LSM (Zeiss)", 0.25)
        assert source.sizes["Z"] == 4
    if channels > 1:
        with pytest.raises(ImageError, match=f"expected one of the {channels} channels"):
            read_image(path, z=0)
    for number in range(channels):
        np.testing.assert_array_equal(read_image(path, z=2, channel=number), stack[2, number])


def test_the_planes_of_an_stk_are_those_of_its_one_page(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (4, 30, 40)).astype(np.uint8)
    path = write_stk(tmp_path / "a.stk", stack)
    with pytest.raises(ImageError, match="it has 4 planes"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, z=3), stack[3])


def test_a_file_that_is_too_large_for_memory_is_referred_to_the_reader_of_slides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", BYTES)
    monkeypatch.setattr("nucleus_unet.io.source._MOST_PIXELS", BYTES.size - 1)
    with pytest.raises(ImageError, match=r"a.tif: expected at most 1199 pixels .* got 30 x 40: .*nucleus-unet slide"):
        read_image(tmp_path / "a.tif")
    assert open_image(tmp_path / "a.tif").plane().read(slice(0, 3), slice(30, 40)).shape == (3, 10)


def test_positions_are_scenes(tmp_path: Path) -> None:
    stack = np.stack([BYTES, BYTES + np.uint8(1)])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "PYX"})
    with pytest.raises(ImageError, match=r"it has 2 scenes \(0 position 0, 1 position 1\); choose one with --scene"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", scene=1), stack[1])
