"""Files of images: their pixels, their metadata, and what is damaged in them."""

import os
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.images import GREY, RGB, open_plane
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image
from PIL import Image


def names_of(path: Path) -> list[str]:
    return [channel.name for channel in open_image(path).channels]


# --- files


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jp2", ".webp", ".npy"])
def test_lossless_files_are_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    if suffix == ".npy":
        np.save(path, RGB)
    elif suffix == ".tif":
        tifffile.imwrite(path, RGB, compression="zlib")
    else:
        Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(read_image(path), RGB)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_jpeg_files_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.new("RGB", (40, 30), (200, 20, 20)).save(path, format="jpeg")
    assert abs(read_image(path).astype(int) - (200, 20, 20)).max() < 4


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [
        ("P", (30, 40, 3), "uint8"),
        ("LA", (30, 40), "uint8"),
        ("L", (30, 40), "uint8"),
        ("1", (30, 40), "uint8"),
        ("RGBA", (30, 40, 3), "uint8"),
        ("I;16", (30, 40), "uint16"),
    ],
)
def test_png_files_of_every_mode_become_grey_or_colours(
    tmp_path: Path, mode: str, shape: tuple[int, ...], dtype: str
) -> None:
    path = tmp_path / "image.png"
    picture = Image.fromarray(GREY) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    picture.save(path)
    pixels = read_image(path)
    assert (pixels.shape, pixels.dtype.name) == (shape, dtype)
    if mode == "P":
        np.testing.assert_array_equal(pixels, np.asarray(picture.convert("RGB")))
    if mode == "I;16":
        np.testing.assert_array_equal(pixels, GREY)


def test_a_tiff_with_a_palette_is_read_in_colours(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    picture = Image.fromarray(RGB).quantize(16)
    picture.save(path)
    np.testing.assert_array_equal(read_image(path) // 256, np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_in_which_zero_is_white_is_turned_round(tmp_path: Path, dtype: type[np.unsignedinteger]) -> None:
    pixels = np.arange(12, dtype=dtype).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.iinfo(dtype).max - pixels)


def test_a_file_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(imagecodecs.png_encode(RGB))
    np.testing.assert_array_equal(read_image(path), RGB)


def test_a_missing_file_is_a_file_system_error(tmp_path: Path) -> None:
    for name in "none.png", "none.tif", "none.npy":
        with pytest.raises(FileNotFoundError, match=name):
            read_image(tmp_path / name)


def test_a_folder_by_the_name_of_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"folder.png: expected an image file or a zarr folder"):
        read_image(tmp_path / "folder.png")


def test_a_file_that_is_missing_is_said_to_be_missing_whatever_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no such file.*nope"):
        read_image(tmp_path / "nope")


def test_content_of_no_known_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "image.doc").write_bytes(b"content")
    with pytest.raises(ImageError, match=r"image.doc: expected an image, of one of the formats .*\.tif, .*\.png"):
        read_image(tmp_path / "image.doc")


def _write(path: Path) -> bytes:
    if path.suffix == ".npy":
        np.save(path, RGB)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, RGB)
    else:
        Image.fromarray(RGB).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg", ".jp2", ".bmp", ".webp", ".npy"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.9])
def test_a_truncated_file_is_an_image_error_that_names_it(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"image{suffix}"
    content = _write(path)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageError, match=str(path)):
        read_image(path)


def write_tiled(path: Path, *, side: int, compression: str) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 130), np.uint8)
    tifffile.imwrite(path, pixels, tile=(side, side), compression=compression, metadata=None)
    return path


@pytest.mark.parametrize(("tag", "size"), [("ImageLength", 200), ("ImageWidth", 300), ("ImageWidth", 2**31)])
def test_a_tiff_that_is_larger_than_its_tiles_is_damaged_whoever_reads_it(tmp_path: Path, tag: str, size: int) -> None:
    path = write_tiled(tmp_path / "a.tif", side=32, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags[tag].overwrite(size)
    for read in (read_image, open_plane):
        with pytest.raises(ImageError, match=r"a\.tif: it is damaged: expected \d+ tiles or strips, the file lists 25"):
            read(path)


def test_a_tiff_whose_last_tile_is_cut_off_is_not_read_as_if_it_were_grey(tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "a.tif", side=64, compression="jpeg")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        ImageError, match=r"a\.tif: tile or strip 8 .* is damaged \(expected \d+ bytes, the file ends after"
    ):
        read_image(path)


@pytest.mark.parametrize("suffix", [".tif", ".svs", ".png", ".jpg", ".jp2", ".bmp", ".webp", ".npy"])
def test_a_text_by_the_name_of_an_image_is_an_image_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_text("Not an image at all.\n" * 50)
    with pytest.raises(ImageError, match=str(path)):
        read_image(path)


def test_a_pickle_by_the_name_of_an_array_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "image.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(ImageError, match=str(path)):
        read_image(path)


@given(changes=st.lists(st.tuples(st.integers(0, 299), st.integers(0, 255)), min_size=1, max_size=4))
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_damaged_file_is_an_image_or_an_image_error(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    content = bytearray(_write(path))
    for place, value in changes:
        content[place] = value
    path.write_bytes(content)
    message = str(path)
    try:
        read_image(path)
    except ImageError as error:
        message = str(error)
    assert str(path) in message


# --- axes, names and pixel sizes in files


@pytest.mark.parametrize("count", [2, 3, 4, 5, 40])
@pytest.mark.parametrize("ome", [True, False], ids=["ome", "imagej"])
def test_a_channel_of_a_fluorescence_file_is_chosen_by_number_or_name(tmp_path: Path, count: int, ome: bool) -> None:
    path = tmp_path / ("image.ome.tif" if ome else "image.tif")
    image = np.stack([GREY + number for number in range(count)])
    names = [f"stain {number} & more" for number in range(count)]
    metadata = {"axes": "CYX", **({"Channel": {"Name": names}} if ome else {"Labels": names})}
    tifffile.imwrite(path, image, ome=ome, imagej=not ome, metadata=metadata)
    assert names_of(path) == names
    for channel in (count - 1, names[-1]):
        np.testing.assert_array_equal(read_image(path, channel=channel), GREY + count - 1)
    with pytest.raises(ImageError, match=f"expected one of the {count} channels 'stain 0 & more', "):
        read_image(path)


def test_channels_without_names_are_named_by_their_numbers(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.tif", np.stack([GREY] * 4), imagej=True, metadata={"axes": "CYX"})
    assert names_of(tmp_path / "image.tif") == ["0", "1", "2", "3"]
    with pytest.raises(ImageError, match="expected one of the 4 channels"):
        read_image(tmp_path / "image.tif")


def test_a_channel_without_a_name_does_not_shift_the_others(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["AAAA", "DAPI"]}}
    tifffile.imwrite(path, np.stack([GREY, GREY + 1]), ome=True, metadata=metadata)
    path.write_bytes(path.read_bytes().replace(b'Name="AAAA"', b"           "))
    assert names_of(path) == ["0", "DAPI"]


def test_colours_of_a_tiff_have_no_names(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.ome.tif", RGB, ome=True, metadata={"axes": "YXS"})
    assert names_of(tmp_path / "image.ome.tif") == ["red", "green", "blue"]
    np.testing.assert_array_equal(read_image(tmp_path / "image.ome.tif"), RGB)


def test_a_time_series_or_stack_is_refused_with_the_option_to_give(tmp_path: Path) -> None:
    for axes, message in {"TYX": "it has 2 times .*--time 1", "ZYX": "it has 2 planes .*--z 1"}.items():
        tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY, GREY + 1]), imagej=True, metadata={"axes": axes})
        with pytest.raises(ImageError, match=f"a.tif: {message}"):
            read_image(tmp_path / "a.tif")
        chosen = {"time" if axes[0] == "T" else "z": 1}
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", **chosen), GREY + 1)


def test_a_stack_of_one_plane_is_an_image(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "image.ome.tif", GREY[None, None], ome=True, metadata={"axes": "TZYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "image.ome.tif"), GREY)


def test_pages_that_nothing_explains_are_what_the_option_says(tmp_path: Path) -> None:
    pages = np.stack([GREY + number for number in range(5)])
    tifffile.imwrite(tmp_path / "a.tif", pages)
    with pytest.raises(ImageError, match="it has 5 pages, and nothing says what they are: choose one with --channel"):
        read_image(tmp_path / "a.tif")
    for chosen in {"channel": 4}, {"z": 4}, {"time": -1}, {"channel_axis": 0, "channel": 4}, {"axes": "ZYX", "z": 4}:
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", **chosen), GREY + 4)


def test_of_a_pyramid_the_full_resolution_is_read(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "image.ome.tif", ome=True) as file:
        file.write(GREY, subifds=1)
        file.write(GREY[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "image.ome.tif"), GREY)


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [
        (0.5, None, 0.5),
        (0.5, "µm", 0.5),
        (250, "nm", 0.25),
        (0.0004, "mm", 0.4),
        (0.5, "pixel", None),
        (0, "µm", None),
        (-1, "µm", None),
        (1e6, "µm", None),
        ("nan", "µm", None),
    ],
)
def test_the_pixel_size_of_an_ome_tiff_is_read_if_plausible(
    tmp_path: Path, size: float | str, unit: str | None, mpp: float | None
) -> None:
    metadata = {"axes": "YX", "PhysicalSizeX": size, **({"PhysicalSizeXUnit": unit} if unit else {})}
    tifffile.imwrite(tmp_path / "image.ome.tif", GREY, ome=True, metadata=metadata)
    assert open_image(tmp_path / "image.ome.tif").pixel_size == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize(
    ("unit", "mpp"), [("micron", 0.25), ("um", 0.25), ("\\u00B5m", 0.25), ("inch", None), ("", None), ("cm", None)]
)
def test_the_pixel_size_of_an_imagej_file_is_read_if_plausible(tmp_path: Path, unit: str, mpp: float | None) -> None:
    tifffile.imwrite(tmp_path / "image.tif", GREY, imagej=True, resolution=(4, 4), metadata={"unit": unit})
    assert open_image(tmp_path / "image.tif").pixel_size == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize(("said", "mpp"), [("0.4990", 0.499), ("0,4990", 0.499), ("0", 0.5), ("-", 0.5), ("0..5", 0.5)])
def test_the_pixel_size_of_an_svs_file_is_its_own_or_that_of_its_magnification(
    tmp_path: Path, said: str, mpp: float | None
) -> None:
    description = f"Aperio Image Library v11.2.1\r\n40x30|AppMag = 20|MPP = {said}"
    tifffile.imwrite(tmp_path / "image.svs", RGB, description=description, metadata=None)
    assert open_image(tmp_path / "image.svs").pixel_size == mpp
    np.testing.assert_array_equal(read_image(tmp_path / "image.svs"), RGB)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="got a pipe"):
        read_image(tmp_path / "pipe.png")


# --- what people's pictures hold


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_png_with_a_palette_of_any_depth_is_read_in_colours_or_by_its_numbers(tmp_path: Path, bits: int) -> None:
    picture = Image.fromarray(RGB).quantize(2**bits)
    picture.save(tmp_path / "a.png", bits=bits)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.asarray(picture.convert("RGB")))
    with open_image(tmp_path / "a.png", indices=True) as source:
        np.testing.assert_array_equal(source.read(source.plane()), np.asarray(picture))


@pytest.mark.parametrize("shape", [(30, 40, 2), (30, 40, 3), (30, 40, 4)])
def test_a_png_of_sixteen_bits_keeps_them(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(bytes(imagecodecs.png_encode(pixels)))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels[..., 0 if shape[2] == 2 else slice(3)])
    assert open_plane(tmp_path / "a.png").alpha == (shape[2] != 3)


@pytest.mark.parametrize(("mode", "transparency"), [("P", 3), ("L", 3), ("RGB", (1, 2, 3))])
def test_a_transparent_colour_of_a_png_is_opacity(tmp_path: Path, mode: str, transparency: int) -> None:
    Image.fromarray(RGB).convert(mode).save(tmp_path / "a.png", transparency=transparency)
    expected = np.asarray(Image.open(tmp_path / "a.png").convert("RGBA"))
    plane, whole = open_plane(tmp_path / "a.png"), (slice(0, 30), slice(0, 40))
    np.testing.assert_array_equal(plane.read_alpha(*whole), expected[..., 3])
    np.testing.assert_array_equal(plane.read(*whole), expected[..., 0 if mode == "L" else slice(3)])


def test_transparency_of_a_webp_is_known_as_such(tmp_path: Path) -> None:
    pixels = np.dstack([RGB, RGB[..., 1] | np.uint8(1)])
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True)
    plane, whole = open_plane(tmp_path / "a.webp"), (slice(0, 30), slice(0, 40))
    np.testing.assert_array_equal(plane.read(*whole), RGB)
    np.testing.assert_array_equal(plane.read_alpha(*whole), pixels[..., 3])


def test_the_frames_of_a_grey_animation_are_times(tmp_path: Path) -> None:
    frames = np.random.default_rng(3).integers(0, 255, (3, 20, 30)).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.apng_encode(frames[..., None], photometric="gray"))
    with open_image(path) as source:
        assert source.sizes == {"T": 3, "Y": 20, "X": 30}
        np.testing.assert_array_equal(source.read(source.plane(time=2)), frames[2])


@pytest.mark.parametrize("suffix", [".png", ".gif", ".webp"])
def test_the_frames_of_an_animation_are_times(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    frames = [Image.fromarray(np.full((30, 40, 3), value, np.uint8)) for value in (10, 90, 200)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == ".webp" else {}))
    with pytest.raises(ImageError, match=rf"a{suffix}: it has 3 times .*--time 1"):
        read_image(path)
    assert [int(read_image(path, time=time).mean()) for time in range(3)] == [10, 90, 200]


def test_a_gif_of_one_frame_is_an_image(tmp_path: Path) -> None:
    picture = Image.fromarray(RGB).quantize(16)
    picture.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), np.asarray(picture.convert("RGB")))


def test_inks_of_a_jpeg_become_red_green_and_blue(tmp_path: Path) -> None:
    smooth = np.dstack([np.add.outer(np.arange(60) * 2, np.arange(80))] * 3).astype(np.uint8)
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    expected = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB")).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).max() <= 2


@pytest.mark.parametrize("trailer", [b"MAKER" + bytes(10), b"MAKER\xff\xda\0" + bytes(30), b"\xff\xd8\xff\xe0\xff"])
@pytest.mark.parametrize("progressive", [False, True])
def test_bytes_after_the_end_of_a_jpeg_are_passed_over(tmp_path: Path, trailer: bytes, *, progressive: bool) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg", progressive=progressive)
    expected = read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + trailer)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)
    with open_image(tmp_path / "a.jpg") as source:
        assert "after its end: not read" in source.warnings[0]


def test_the_end_of_a_thumbnail_within_a_jpeg_is_not_its_end(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    content = content[:2] + b"\xff\xe1\0\x08\xff\xd8\xff\xd9aa" + content[2:]
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_image(tmp_path / "a.jpg").shape == RGB.shape
    (tmp_path / "a.jpg").write_bytes(content[:-200])
    with pytest.raises(ImageError, match="its end is missing"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_an_orientation_is_named_and_not_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / f"a{suffix}", exif=exif)
    with open_image(tmp_path / f"a{suffix}") as source:
        assert source.plane().shape == (30, 40)
        assert source.warnings == ("its EXIF orientation, 6, is not applied: results lie on the pixels as stored",)


@pytest.mark.parametrize(("dots", "expected"), [(50_800, 0.5), (72, None), (300, None)])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_dots_of_a_picture_are_its_pixel_size_unless_they_are_for_printing(
    tmp_path: Path, suffix: str, dots: int, expected: float | None
) -> None:
    Image.fromarray(RGB).save(tmp_path / f"a{suffix}", dpi=(dots, dots))
    with open_image(tmp_path / f"a{suffix}") as source:
        assert source.pixel_size == (None if expected is None else pytest.approx(expected, rel=1e-3))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_frame_of_a_webp_that_stores_only_what_changed_is_whole(tmp_path: Path, mode: str) -> None:
    first = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    second, third = first.copy(), first.copy()
    second[6:16, 10:20, :3] = 255 - second[6:16, 10:20, :3]
    third[20:24, 2:12] = (9, 8, 7, 0) if mode == "RGBA" else (9, 8, 7, 255)
    frames = [Image.fromarray(each).convert(mode) for each in (first, second, third)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True, exact=True)
    for time, frame in enumerate((first, second, third)):
        visible = frame[..., :3] * (frame[..., 3:] > 0)
        np.testing.assert_array_equal(read_image(tmp_path / "a.webp", time=time), visible)


@pytest.mark.parametrize("with_alpha", [False, True])
def test_the_fourth_byte_of_a_bmp_is_opacity_only_if_its_header_says_so(tmp_path: Path, *, with_alpha: bool) -> None:
    height, width = RGB.shape[:2]
    stored = np.dstack([RGB[..., ::-1], np.zeros((height, width), np.uint8)])
    stored[3:6, :, 3] = 255
    masks = (
        struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        if with_alpha
        else struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
    )
    size = 56 if with_alpha else 40
    header = struct.pack("<IiiHHIIiiII", size, width, height, 1, 32, 3, stored.nbytes, 0, 0, 0, 0) + masks
    start = 14 + len(header)
    file = b"BM" + struct.pack("<IHHI", start + stored.nbytes, 0, 0, start) + header + stored[::-1].tobytes()
    (tmp_path / "a.bmp").write_bytes(file)
    expected = RGB * (stored[..., 3:] > 0) if with_alpha else RGB
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), expected)


def test_an_image_that_is_transparent_everywhere_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)])).save(tmp_path / "a.png")
    assert not read_image(tmp_path / "a.png").any()
    assert "a.png: every pixel is transparent, and is read as black" in caplog.text


@pytest.mark.parametrize(
    ("place", "size", "value"),
    [(22, 4, 62), (22, 4, 2**20), (22, 4, -62), (22, 4, 0), (18, 4, 85), (18, 4, 10**6), (18, 4, -61), (28, 2, 32)],
)
def test_a_bmp_is_never_read_beyond_its_end(tmp_path: Path, place: int, size: int, value: int) -> None:
    path = tmp_path / "a.bmp"
    Image.fromarray(np.arange(61 * 83, dtype=np.uint32).astype(np.uint8).reshape(61, 83)).save(path)
    content = bytearray(path.read_bytes())
    content[place : place + size] = value.to_bytes(size, "little", signed=True)
    path.write_bytes(content)

    with pytest.raises(ImageError, match="its header says"):
        read_image(path)


def test_a_jpeg_of_few_bytes_that_says_it_is_huge_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((61, 83), np.uint8)).save(path)
    content = path.read_bytes()
    frame = content.index(b"\xff\xc0")
    path.write_bytes(content[: frame + 5] + b"\xff\xff\xff\xff" + content[frame + 9 :])

    with pytest.raises(ImageError, match="65535 x 65535"):
        read_image(path)


def test_a_uniform_jpeg_of_the_fewest_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((4000, 4000), np.uint8)).save(path, quality=1, optimize=True)

    assert np.unique(read_image(path)).size == 1
