"""ND2, CZI and LIF. All files are synthetic: CZI by ZEISS's own library, the others after their formats' layouts."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.microscopes import write_lif, write_nd2
from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.source import ImageSource, open_image, read_image
from numpy.typing import NDArray
from pylibCZIrw import czi

RANDOM = np.random.default_rng(5)
STACK = RANDOM.integers(0, 60_000, (3, 4, 2, 40, 50)).astype(np.uint16)  # T, Z, C, Y, X
REGION = (slice(5, 31), slice(12, 47))


def write_czi(path: Path, *, compression: str = "uncompressed:", scenes: int = 2, dtype: str = "uint16") -> Path:
    """Write scenes of two times, three planes, two channels and three overlapping tiles that leave gaps."""
    with czi.create_czi(str(path), compression_options=compression) as file:
        for scene in range(scenes):
            for place in np.ndindex(2, 3, 2):
                for row, column in ((0, 0), (0, 40), (30, 20)):
                    tile = RANDOM.integers(0, 255, (40, 50, 1)).astype(dtype)
                    plane = dict(zip("TZC", place, strict=True))
                    file.write(tile, plane=plane, scene=scene, location=(1000 * scene + column, row))
        file.write_metadata("synthetic", channel_names={0: "DAPI", 1: "GFP"}, scale_x=0.25e-6, scale_y=0.25e-6)
    return path


def write_colour_czi(path: Path, pixels: NDArray[Any], compression: str = "uncompressed:") -> Path:
    with czi.create_czi(str(path), compression_options=compression) as file:
        file.write(np.ascontiguousarray(pixels[..., ::-1]))
    return path


def libczi(path: Path, scene: int | None = None, **plane: int) -> NDArray[Any]:
    with czi.open_czi(str(path)) as file:
        pixels = file.read(plane=plane, scene=scene, background_pixel=czi.Color(0, 0, 0))
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., ::-1]


def recompress(path: Path, code: int, data: bytes) -> None:
    """Put other pixels and another compression into a CZI file of one block, whose pixels take more bytes."""
    content = bytearray(path.read_bytes())
    entry = content.index(b"ZISRAWDIRECTORY") + 32 + 128
    block = content.index(b"ZISRAWSUBBLOCK") + 32
    struct.pack_into("<i", content, entry + 18, code)
    struct.pack_into("<i", content, block + 16 + 18, code)
    (before,) = struct.unpack_from("<i", content, block)
    (dimensions,) = struct.unpack_from("<i", content, block + 16 + 28)
    first = block + max(256, 48 + 20 * dimensions) + before
    assert len(data) <= struct.unpack_from("<q", content, block + 8)[0]
    struct.pack_into("<q", content, block + 8, len(data))
    content[first : first + len(data)] = data
    path.write_bytes(content)


@pytest.fixture
def nd2_source(tmp_path: Path) -> Iterator[ImageSource]:
    frames = np.repeat(STACK.reshape(12, 2, 40, 50).transpose(0, 2, 3, 1), 2, axis=0)
    frames[1::2] += 1  # the second position
    path = write_nd2(
        tmp_path / "a.nd2",
        frames,
        loops=(("T", 3), ("Z", 4), ("P", 2)),
        names=("DAPI", "GFP"),
        positions=("left", "right"),
    )
    with open_image(path) as source:
        yield source


def test_an_nd2_file_has_its_axes_channels_positions_and_pixel_size(nd2_source: ImageSource) -> None:
    assert nd2_source.sizes == {"T": 3, "Z": 4, "C": 2, "Y": 40, "X": 50}
    assert [(each.name, each.colour) for each in nd2_source.channels] == [("DAPI", "#00FF00"), ("GFP", "#00FF00")]
    assert (nd2_source.scenes, nd2_source.pixel_size, nd2_source.dtype) == (("left", "right"), 0.5, np.uint16)


def test_every_plane_of_an_nd2_file_is_read_by_regions(nd2_source: ImageSource) -> None:
    for time, z, channel in np.ndindex(3, 4, 2):
        for scene in range(2):
            plane = nd2_source.plane(scene=scene, time=time, z=z, channel=channel)
            np.testing.assert_array_equal(plane.read(*REGION), STACK[time, z, channel][REGION] + scene)


@pytest.mark.parametrize("compressed", [False, True])
def test_colours_of_an_nd2_file_are_red_green_and_blue(tmp_path: Path, compressed: bool) -> None:
    colours = RANDOM.integers(0, 255, (1, 40, 50, 3)).astype(np.uint8)
    path = write_nd2(tmp_path / "a.nd2", colours[..., ::-1], colours=True, compressed=compressed)
    np.testing.assert_array_equal(read_image(path), colours[0])


def test_a_frame_that_an_nd2_file_lacks_is_an_error_and_not_black(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", np.ones((3, 4, 5, 1), np.uint8), loops=(("T", 3),), absent=(1,))
    assert read_image(path, time=2).all()
    with pytest.raises(ImageError, match=r"a\.nd2: the file does not contain frame 1"):
        read_image(path, time=1)


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    for path in (
        write_nd2(tmp_path / "a.nd2", np.ones((3, 4, 5, 1), np.uint8)),
        write_czi(tmp_path / "a.czi"),
        write_lif(tmp_path / "a.lif", {"a": ("YX", STACK[0, 0, 0])}),
    ):
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(ImageError, match=path.name):
            read_image(path, scene=0, time=0, z=0, channel=0)


@pytest.mark.parametrize("compression", ["uncompressed:", "zstd0:", "zstd1:PreProcess=HiLoByteUnpack"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_planes_of_a_czi_file_are_as_libczi_composes_them(tmp_path: Path, compression: str, dtype: str) -> None:
    path = write_czi(tmp_path / "a.czi", compression=compression, dtype=dtype)
    with open_image(path) as source:
        for scene, channel in np.ndindex(2, 2):
            plane = source.plane(scene=scene, time=1, z=2, channel=channel)
            expected = libczi(path, scene, T=1, Z=2, C=channel)
            np.testing.assert_array_equal(source.read(plane), expected)
            np.testing.assert_array_equal(plane.read(*REGION), expected[REGION])


def test_a_czi_file_has_its_axes_channels_scenes_and_pixel_size(tmp_path: Path) -> None:
    with open_image(write_czi(tmp_path / "a.czi")) as source:
        assert source.sizes == {"T": 2, "Z": 3, "C": 2, "Y": 70, "X": 90}
        assert [each.name for each in source.channels] == ["DAPI", "GFP"]
        assert (source.scenes, source.pixel_size, source.levels) == (("scene 0", "scene 1"), 0.25, ((70, 90),))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colours_of_a_czi_file_are_red_green_and_blue_on_white(tmp_path: Path, dtype: str) -> None:
    pixels = RANDOM.integers(0, 200, (30, 40, 3)).astype(dtype)
    path = tmp_path / "a.czi"
    with czi.create_czi(str(path)) as file:
        file.write(np.ascontiguousarray(pixels[..., ::-1]))
        file.write(np.ascontiguousarray(pixels[..., ::-1]), location=(50, 0))
    read = read_image(path)
    np.testing.assert_array_equal(read[:, :40], pixels)
    assert (read[:, 40:50] == np.iinfo(dtype).max).all()


def test_blocks_in_jpeg_and_jpeg_xr_keep_their_colours(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:64, :64]
    pixels = np.stack([columns * 3, rows * 2, np.full((64, 64), 9)], axis=-1).astype(np.uint8)
    path = write_colour_czi(tmp_path / "a.czi", pixels)
    recompress(path, 4, imagecodecs.jpegxr_encode(pixels, level=1.0))
    np.testing.assert_array_equal(read_image(path), pixels)
    recompress(path, 1, imagecodecs.jpeg8_encode(pixels, level=100))
    np.testing.assert_allclose(read_image(path).astype(int), pixels, atol=4)


def test_levels_of_a_czi_pyramid_do_not_cover_the_full_resolution(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.czi", RANDOM.integers(1, 60_000, (64, 64, 1)).astype(np.uint16)
    with czi.create_czi(str(path)) as file:
        file.write(pixels)
        file.write(np.zeros((32, 32, 1), np.uint16))
    content = bytearray(path.read_bytes())
    # The directory's last entry takes the room of the whole image and keeps its stored size.
    start = content.index(b"ZISRAWDIRECTORY") + 32
    last = content.rindex(b"DV", start, start + 128 + 2 * 256)
    for axis in (b"X", b"Y"):
        struct.pack_into("<i", content, content.index(axis + bytes(3), last + 32) + 8, 64)
    path.write_bytes(content)
    with open_image(path) as source:
        assert source.levels == ((64, 64), (32, 32))
        np.testing.assert_array_equal(source.read(source.plane()), pixels[..., 0])


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    path = write_colour_czi(tmp_path / "a.czi", np.zeros((30, 40, 3), np.uint8))
    recompress(path, 104, b"raw")
    with pytest.raises(ImageError, match=r"a\.czi: its compression, number 104, is not read"):
        read_image(path)


@pytest.mark.parametrize(
    ("axes", "shape"), [("TZCYX", (3, 4, 2, 40, 50)), ("CTZYX", (2, 3, 4, 40, 50)), ("YXC", (40, 50, 2))]
)
def test_a_lif_file_is_read_whatever_the_order_of_its_axes(tmp_path: Path, axes: str, shape: tuple[int, ...]) -> None:
    pixels = RANDOM.integers(0, 60_000, shape).astype(np.uint16)
    path = write_lif(tmp_path / "a.lif", {"first": ("YX", STACK[0, 0, 0]), "second": (axes, pixels)}, names=("A", "B"))
    with open_image(path) as source:
        assert (source.scenes, source.pixel_size) == (("first", "second"), 0.5)
        assert [each.name for each in source.scene(1).channels] == ["A", "B"]
        for place in np.ndindex(*(size for axis, size in zip(axes, shape, strict=True) if axis in "TZC")):
            chosen = dict(zip((axis for axis in axes if axis in "TZC"), place, strict=True))
            plane = source.plane(scene=1, time=chosen.get("T"), z=chosen.get("Z"), channel=chosen["C"])
            expected = pixels[tuple(chosen.get(axis, slice(None)) for axis in axes)]
            np.testing.assert_array_equal(plane.read(*REGION), expected[REGION])


def test_colours_of_a_lif_file_are_red_green_and_blue(tmp_path: Path) -> None:
    pixels = RANDOM.integers(0, 255, (40, 50, 3)).astype(np.uint8)
    np.testing.assert_array_equal(read_image(write_lif(tmp_path / "a.lif", {"a": ("YXS", pixels)})), pixels)


def test_tiles_of_a_lif_mosaic_are_scenes(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", {"a": ("MYX", STACK[0, :3, 0])})
    with open_image(path) as source:
        assert source.scenes == ("a, tile 0", "a, tile 1", "a, tile 2")
        assert "each tile is a scene" in source.warnings[0]
        np.testing.assert_array_equal(source.read(source.plane(scene=2)), STACK[0, 2, 0])


def test_several_planes_are_refused_with_the_options_to_give(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", np.zeros((3, 4, 5, 2), np.uint8), loops=(("T", 3),), names=("DAPI", "GFP"))
    with pytest.raises(ImageError, match=r"a\.nd2: it has 3 times .*--time 1"):
        read_image(path)
    with pytest.raises(ImageError, match="--channel DAPI"):
        read_image(path, time=0)


@pytest.mark.parametrize(("module", "suffix", "extra"), [("nd2", ".nd2", "nd2"), ("liffile", ".lif", "lif")])
def test_a_missing_package_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, suffix: str, extra: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".nd2":
        write_nd2(path, np.zeros((1, 4, 5, 1), np.uint8))
    else:
        write_lif(path, {"a": ("YX", STACK[0, 0, 0])})
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'nucleus-unet\[{extra}\]'"):
        open_image(path)
