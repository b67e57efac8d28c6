"""Slides in the formats that need more than tifffile: zarr, OME-Zarr, dask, and what scanners write."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from helpers.images import open_plane
from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io import scanners
from nucleus_unet.io.description import describe
from nucleus_unet.io.file_facts import file_facts
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.source import ImageSource, open_image, read_image
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray

PICTURE = np.random.default_rng(1).integers(0, 256, (210, 330, 3), dtype=np.uint8)
PLANES = np.moveaxis(PICTURE, -1, 0)
REGIONS = [(slice(0, 210), slice(0, 330)), (slice(50, 131), slice(47, 200)), (slice(209, 210), slice(329, 330))]
CHANNELS = ["DAPI", "GFP", "Cy3", "Cy5"]


def assert_regions(slide: Plane, expected: NDArray[Any]) -> None:
    assert slide.shape == expected.shape[:2]
    for region in REGIONS:
        np.testing.assert_array_equal(slide.read(*region), expected[region])


def write_ome_zarr(
    folder: Path,
    pixels: NDArray[Any],
    axes: str,
    *,
    zarr_format: Any = 3,
    scale: float = 0.5,
    unit: str = "micrometer",
    labels: list[str] | None = None,
) -> Path:
    """Write an image of two levels, as the specification of version 0.4 (zarr 2) or 0.5 (zarr 3) has it."""
    kinds = {"t": "time", "c": "channel"}
    group = zarr.open_group(folder, mode="w", zarr_format=zarr_format)
    down = tuple(slice(None, None, 2) if axis in "yx" else slice(None) for axis in axes)
    for name, level in (("0", pixels), ("1", pixels[down])):
        chunks = tuple(64 if axis in "yx" else 1 for axis in axes)
        group.create_array(name, shape=level.shape, dtype=level.dtype, chunks=chunks)[...] = level
    said: dict[str, Any] = {
        "multiscales": [
            {
                "axes": [
                    {"name": axis, "type": kinds.get(axis, "space")} | ({"unit": unit} if axis in "zyx" else {})
                    for axis in axes
                ],
                "datasets": [
                    {
                        "path": name,
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [size if axis in "yx" else 1.0 for axis in axes]}
                        ],
                    }
                    for name, size in (("0", scale), ("1", 2 * scale))
                ],
            }
        ]
    }
    if labels:
        said["omero"] = {"channels": [{"label": label} for label in labels]}
    group.attrs.update(said if zarr_format == 2 else {"ome": said | {"version": "0.5"}})
    return folder


def zipped(folder: Path, *, within: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path(within) / file.relative_to(folder))
    return path


# OME-Zarr -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("axes", ["yxc", "cyx", "tczyx"])
def test_the_full_resolution_of_an_ome_zarr_is_read(tmp_path: Path, zarr_format: int, axes: str) -> None:
    pixels = {"yxc": PICTURE, "cyx": PLANES, "tczyx": PLANES[None, :, None]}[axes]
    path = write_ome_zarr(tmp_path / "slide.ome.zarr", pixels, axes, zarr_format=zarr_format)
    slide = open_plane(path, channel="rgb")
    assert (slide.channels, slide.dtype, slide.mpp) == (3, np.uint8, 0.5)
    assert_regions(slide, PICTURE)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("within", ["", "export/slide.zarr"])
def test_an_ome_zarr_may_be_zipped_with_or_without_its_folder(tmp_path: Path, zarr_format: int, within: str) -> None:
    folder = write_ome_zarr(tmp_path / "slide", PLANES, "cyx", zarr_format=zarr_format)
    assert_regions(open_plane(zipped(folder, within=within), channel="rgb"), PICTURE)


def test_a_channel_is_chosen_by_the_name_that_omero_gives_it_or_by_number(tmp_path: Path) -> None:
    stack = np.concatenate([PLANES, PLANES[:1]]).astype(np.uint16) * 256
    path = write_ome_zarr(tmp_path / "slide.zarr", stack[None, :, None], "tczyx", labels=CHANNELS)
    for channel in "Cy3", 2:
        slide = open_plane(path, channel=channel)
        assert (slide.channels, slide.dtype) == (None, np.uint16)
        assert_regions(slide, stack[2])
    with pytest.raises(ImageError, match=r"slide.zarr: channel: expected one of the 4 channels 'DAPI'"):
        open_plane(path)


@pytest.mark.parametrize(
    ("scale", "unit", "mpp"),
    [
        (0.25, "micrometer", 0.25),
        (250, "nanometer", 0.25),
        (0.00025, "millimeter", 0.25),
        (0.25, "parsec", None),
        (0, "micrometer", None),
        (60, "micrometer", None),
    ],
)
def test_the_pixel_size_follows_scale_and_unit_if_plausible(
    tmp_path: Path, scale: float, unit: str, mpp: float | None
) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PICTURE[..., 0], "yx", scale=scale, unit=unit)
    assert open_plane(path).mpp == (None if mpp is None else pytest.approx(mpp))


def test_a_scale_of_all_levels_multiplies_that_of_the_level(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PICTURE[..., 0], "yx", scale=1.0)
    group = zarr.open_group(path)
    said: Any = group.attrs["ome"]
    said["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [0.3, 0.3]}]
    group.attrs["ome"] = said
    assert open_plane(path).mpp == pytest.approx(0.3)


def test_of_several_images_of_bioformats2raw_one_is_chosen(tmp_path: Path) -> None:
    for number, plane in enumerate(PLANES):
        write_ome_zarr(tmp_path / "slide.zarr" / str(number), plane, "yx", zarr_format=2)
    zarr.open_group(tmp_path / "slide.zarr", mode="a", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    with pytest.raises(ImageError, match=r"slide.zarr: it has 3 scenes \(0, 1, 2\); choose one with --scene"):
        open_plane(tmp_path / "slide.zarr")
    assert_regions(open_plane(tmp_path / "slide.zarr", scene=2), PLANES[2])


def test_three_channels_are_colours_only_if_the_file_shows_them_as_such(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PLANES, "cyx")
    with pytest.raises(ImageError, match=r"expected one of the 3 channels '0', '1', '2', got none"):
        open_plane(path)
    colours = ("FF0000", "00FF00", "0000FF")
    for labels, channels in ((["Channel 0", "Channel 1", "Channel 2"], 3), (["TRITC", "FITC", "DAPI"], None)):
        group = zarr.open_group(path)
        said: Any = group.attrs["ome"]
        said["omero"] = {
            "channels": [{"label": label, "color": colour} for label, colour in zip(labels, colours, strict=True)]
        }
        group.attrs["ome"] = said
        if channels == 3:
            assert_regions(open_plane(path), PICTURE)
        else:
            with pytest.raises(ImageError, match="expected one of the 3 channels 'TRITC', 'FITC', 'DAPI', got none"):
                open_plane(path)


def test_a_stack_is_refused_with_the_option_to_give(tmp_path: Path) -> None:
    stack = write_ome_zarr(tmp_path / "stack.zarr", PLANES, "zyx")
    with pytest.raises(ImageError, match=r"stack.zarr: it has 3 planes .*choose one with --z"):
        open_plane(stack)
    assert_regions(open_plane(stack, z=2), PLANES[2])


def test_the_fields_of_a_plate_are_scenes(tmp_path: Path) -> None:
    plate = tmp_path / "plate.zarr"
    zarr.open_group(plate, mode="w").attrs["ome"] = {"version": "0.5", "plate": {"wells": [{"path": "B/03"}]}}
    zarr.open_group(plate / "B" / "03", mode="w").attrs["ome"] = {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
    for number in 0, 1:
        write_ome_zarr(plate / "B" / "03" / str(number), PLANES[number], "yx")
    with pytest.raises(
        ImageError, match=r"plate.zarr: it has 2 scenes \(0 B/03/0, 1 B/03/1\); choose one with --scene"
    ):
        open_plane(plate)
    assert_regions(open_plane(plate, scene="B/03/1"), PLANES[1])


def write_plate_of(folder: Path, wells: list[str], **more: Any) -> Path:
    """Write a plate that names wells, of which those with a field A/1 and A/2 are there."""
    said = {"version": "0.5", "plate": {"wells": [{"path": well} for well in wells]}, **more}
    zarr.open_group(folder, mode="w").attrs["ome"] = said
    for number, well in enumerate(("A/1", "A/2")):
        zarr.open_group(folder / well, mode="w").attrs["ome"] = {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
        write_ome_zarr(folder / well / "0", PLANES[number], "yx")
    return folder


def test_a_plate_of_bioformats2raw_is_a_plate(tmp_path: Path) -> None:
    plate = write_plate_of(tmp_path / "plate.zarr", ["A/1", "A/2"], **{"bioformats2raw.layout": 3})
    assert_regions(open_plane(plate, scene="A/2/0"), PLANES[1])


def test_what_a_plate_lacks_costs_itself(tmp_path: Path) -> None:
    plate = write_plate_of(tmp_path / "plate.zarr", ["A/1", "B/7", "A/2"])
    with open_image(plate) as source:
        assert source.warnings == ("wells that its metadata name are not there: B/7",)
        assert source.scenes == ("A/1/0", "A/1/1", "A/2/0", "A/2/1")
        assert_regions(source.plane(scene="A/2/0"), PLANES[1])
        with pytest.raises(ImageError, match=r"plate.zarr: A/2/1 is not there, though the metadata name it"):
            source.plane(scene="A/2/1")


def test_the_largest_level_of_an_ome_zarr_is_read_wherever_it_is_listed(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a.zarr", PLANES[0], "yx")
    group = zarr.open_group(tmp_path / "a.zarr")
    said: Any = group.attrs["ome"]
    said["multiscales"][0]["datasets"].reverse()
    group.attrs["ome"] = said
    plane = open_plane(tmp_path / "a.zarr")
    assert plane.mpp == 0.5
    assert_regions(plane, PLANES[0])


def test_a_level_of_a_pyramid_may_be_missing_but_not_the_full_resolution(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", PLANES[0], "yx")
    shutil.rmtree(path / "1")
    with open_image(path) as source:
        assert source.warnings == ("the level 1 of its pyramid is not there",)
        assert_regions(source.plane(), PLANES[0])
    path = write_ome_zarr(tmp_path / "b.zarr", PLANES[0], "yx")
    shutil.rmtree(path / "0")
    with pytest.raises(ImageError, match=r"b.zarr: its full resolution, the array 0, is not there"):
        open_plane(path)


def test_a_second_image_in_the_multiscales_is_told(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a.zarr", PLANES[0], "yx")
    group = zarr.open_group(tmp_path / "a.zarr")
    said: Any = group.attrs["ome"]
    group.attrs["ome"] = {**said, "multiscales": said["multiscales"] * 2}
    with open_image(tmp_path / "a.zarr") as source:
        assert source.warnings == ("of 2 images in its multiscales, the first is read",)


def test_labels_in_an_ome_zarr_are_no_image(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "a.zarr", PLANES[0], "yx")
    write_ome_zarr(path / "labels" / "cells", PLANES[1] // 16, "yx")
    labels = zarr.open_group(path / "labels" / "cells")
    said: Any = labels.attrs["ome"]
    labels.attrs["ome"] = {**said, "image-label": {}}
    assert_regions(open_plane(path), PLANES[0])
    with pytest.raises(ImageError, match=r"cells: expected an image, got a label image of OME-Zarr"):
        open_plane(path / "labels" / "cells")


def test_info_and_predict_agree_on_what_is_too_large(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(2**16, 2**15), dtype="uint8", chunks=(512, 512))
    with open_image(tmp_path / "a.zarr") as source:
        said = describe(source)["predict"]
        with pytest.raises(ImageError, match="nucleus-unet slide") as refused:
            source.read(source.plane())
    assert str(refused.value) == f"{tmp_path / 'a.zarr'}: {said.removeprefix('asks: ')}"


@pytest.mark.parametrize("address", ["https://host/a.tif", "s3://bucket/a.zarr", "file:///a.tif"])
def test_an_address_of_the_network_is_refused_as_such(address: str) -> None:
    for given in (address, Path(address)):
        with pytest.raises(ImageError, match="expected the path of a file, got an address: download the file first"):
            open_image(given)


def test_what_is_no_image_of_zarr_is_refused(tmp_path: Path) -> None:
    plate = tmp_path / "plate.zarr"
    zarr.open_group(plate, mode="w").attrs["ome"] = {"version": "0.5", "plate": {}}
    with pytest.raises(ImageError, match=r"plate.zarr: its OME-Zarr metadata are malformed: expected a plate"):
        open_plane(plate)
    other = tmp_path / "other.zarr"
    zarr.open_group(other, mode="w")
    with pytest.raises(ImageError, match=r"other.zarr: .* got a group without multiscales; give the path of an image"):
        open_plane(other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"empty: .* got a folder without zarr's metadata"):
        open_plane(tmp_path / "empty")
    with pytest.raises(ImageError, match=r"empty.zip: .* got one without zarr's metadata"):
        open_plane(zipped(tmp_path / "empty"))


def test_malformed_names_of_channels_cost_the_names_alone(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PLANES, "cyx", zarr_format=2)
    zarr.open_group(path).attrs.update({"omero": {"channels": [5]}})
    with open_image(path) as source:
        assert [channel.name for channel in source.channels] == ["0", "1", "2"]
        assert "the names of its channels are malformed" in source.warnings[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"multiscales": []}, "IndexError"),
        ({"multiscales": {}}, "KeyError"),
        ({"multiscales": None}, "TypeError"),
        (
            {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "7"}]}]},
            "the array 7, is not there",
        ),
        (
            {"multiscales": [{"axes": [{"name": "y"}], "datasets": [{"path": "0"}]}]},
            "expected axes of t, c, z, y and x, got y",
        ),
    ],
)
def test_malformed_metadata_are_said_to_be(tmp_path: Path, damage: dict[str, Any], message: str) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PICTURE[..., 0], "yx", zarr_format=2)
    zarr.open_group(path).attrs.update(damage)
    with pytest.raises(ImageError, match=rf"slide.zarr: .*{message}"):
        open_plane(path)


def test_a_link_to_nowhere_in_a_zarr_is_an_absent_file(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PICTURE[..., 0], "yx")
    (path / "thumbnail").symlink_to(tmp_path / "nowhere")
    assert segmenter.predict_slide(path, out=tmp_path / "out").plan.height == PICTURE.shape[0]


def test_a_slide_of_an_ome_zarr_has_the_nuclei_of_the_whole_image(
    segmenter: Segmenter, discs: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", discs, "yx")
    expected = segmenter.predict(discs).labels
    assert expected.any()
    result = segmenter.predict_slide(path, out=tmp_path / "out", tile=136, block=64)
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected)


# Arrays of zarr and dask ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_plain_zarr_array_is_read_from_a_file_or_as_it_is(tmp_path: Path, zarr_format: Any) -> None:
    array = zarr.create_array(tmp_path / "slide.zarr", data=PICTURE, chunks=(50, 70, 3), zarr_format=zarr_format)
    for slide in open_plane(array), open_plane(tmp_path / "slide.zarr"):
        assert (slide.channels, slide.mpp) == (3, None)
        assert_regions(slide, PICTURE)
    assert_regions(open_plane(tmp_path / "slide.zarr", channel=1), PICTURE[..., 1])


def test_a_big_endian_array_comes_in_this_machine_s_byte_order(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "slide.zarr", data=PICTURE.astype(">u2"), zarr_format=2)
    slide = open_plane(tmp_path / "slide.zarr")
    assert slide.read(*REGIONS[1]).dtype == np.dtype("=u2")
    assert_regions(slide, PICTURE)


def test_of_a_dask_array_no_more_chunks_are_computed_than_a_region_touches() -> None:
    computed = []

    def chunk(block_info: Any) -> NDArray[np.uint8]:
        (rows, columns, _) = place = block_info[None]["array-location"]
        computed.append((rows[0], columns[0]))
        return PICTURE[tuple(slice(*span) for span in place)]

    chunks = ((100, 100, 10), (100, 100, 100, 30), (3,))
    slide = open_plane(dask.array.map_blocks(chunk, chunks=chunks, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)))
    assert computed == []
    region = slice(90, 110), slice(210, 220)
    np.testing.assert_array_equal(slide.read(*region), PICTURE[region])
    assert sorted(computed) == [(0, 200), (100, 200)]
    assert_regions(slide, PICTURE)


def test_arrays_of_which_no_region_can_be_had_in_bounded_memory_are_refused() -> None:
    huge = dask.array.zeros((40_000, 40_000), dtype=np.uint8, chunks=-1)
    with pytest.raises(ImageError, match=r"chunks are too large to be read in parts, \(40000, 40000\): rechunk it"):
        open_plane(huge)
    unknown = dask.array.from_array(PICTURE[..., 0])[dask.array.from_array(PICTURE[:, 0, 0] > 5)]
    with pytest.raises(ImageError, match=r"expected a known shape"):
        open_plane(unknown)


def chunk_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith((".z", "zarr")))


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 40])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_chunk_is_named_with_the_region(tmp_path: Path, zarr_format: Any, damage: bytes) -> None:
    path = tmp_path / "slide.zarr"
    zarr.create_array(path, data=PICTURE[..., 0], chunks=(64, 64), zarr_format=zarr_format)
    for file in chunk_files(path):
        file.write_bytes(damage)
    with pytest.raises(ImageError, match=r"slide.zarr: rows 50 to 131, columns 47 to 200 cannot be read"):
        open_plane(path).read(*REGIONS[1])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_damaged_metadata_of_zarr_are_named(tmp_path: Path, zarr_format: Any) -> None:
    path = tmp_path / "slide.zarr"
    zarr.create_array(path, data=PICTURE[..., 0], zarr_format=zarr_format)
    (path / ("zarr.json" if zarr_format == 3 else ".zarray")).write_text("{nonsense")
    with pytest.raises(ImageError, match=r"slide.zarr: its zarr metadata are damaged"):
        open_image(path)


def test_a_slide_whose_chunk_is_damaged_leaves_no_results(
    segmenter: Segmenter, discs: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", discs, "yx")
    next(chunk_files(path / "0")).write_bytes(b"nonsense")
    with pytest.raises(ImageError, match=r"slide.zarr: rows 0 to 100, columns 0 to 131 cannot be read"):
        segmenter.predict_slide(path, out=tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} <= {"lock"}


def test_a_folder_is_another_one_as_soon_as_any_of_its_chunks_is(tmp_path: Path) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PLANES, "cyx")
    before = file_facts(path)
    assert file_facts(path) == before
    chunk = next(chunk_files(path))
    os.utime(chunk, ns=(0, chunk.stat().st_mtime_ns + 1))
    assert file_facts(path) != before
    assert json.dumps(before)


def test_without_zarr_an_ome_zarr_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ome_zarr(tmp_path / "slide.zarr", PLANES, "cyx")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"slide.zarr needs zarr: pip install 'nucleus-unet\[zarr\]'"):
        open_plane(path)


# Scans ----------------------------------------------------------------------------------------------------


PICTURE_OF_TILES = np.random.default_rng(2).integers(0, 256, (256, 320, 3), dtype=np.uint8)


def write_aperio(path: Path, *, missing: int) -> Path:
    """Write a scan of 64 x 64 tiles of which the scanner left one out."""
    places = [(row, column) for row in range(0, 256, 64) for column in range(0, 320, 64)]
    tiles = (
        None if number == missing else PICTURE_OF_TILES[row : row + 64, column : column + 64]
        for number, (row, column) in enumerate(places)
    )
    description = "Aperio Image Library\n|MPP = 0.25"
    options: dict[str, Any] = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(path, tiles, shape=(256, 320, 3), dtype=np.uint8, description=description, **options)
    return path


def scan_of(path: Path, **chosen: Any) -> Plane:
    """Open a slide with OpenSlide, whatever its format is."""
    return ImageSource(scanners.open_file(path), str(path), prefix=str(path)).plane(**chosen)


def test_what_the_scanner_left_out_is_white_whoever_reads_it(tmp_path: Path) -> None:
    slide = scan_of(write_aperio(tmp_path / "slide.svs", missing=7))
    assert (slide.shape, slide.channels, slide.mpp) == ((256, 320), 3, 0.25)
    expected = PICTURE_OF_TILES.copy()
    expected[64:128, 128:192] = 255
    for region in [(slice(0, 256), slice(0, 320)), (slice(60, 131), slice(47, 200))]:
        np.testing.assert_array_equal(slide.read(*region), expected[region])
    np.testing.assert_array_equal(open_plane(tmp_path / "slide.svs").read(slice(0, 256), slice(0, 320)), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "slide.svs"), expected)
    green = scan_of(tmp_path / "slide.svs", channel=1)
    np.testing.assert_array_equal(green.read(slice(0, 256), slice(0, 320)), expected[..., 1])


def test_a_scan_is_what_tifffile_decodes(real_data: Path) -> None:
    path = real_data / "slides" / "CMU-1-Small-Region.svs"
    scan, tiff = scan_of(path), open_plane(path)
    assert (scan.shape, scan.mpp) == (tiff.shape, tiff.mpp)
    region = slice(1000, 1100), slice(900, 1100)
    np.testing.assert_allclose(scan.read(*region).astype(int), tiff.read(*region), atol=2)  # two JPEG decoders


def test_a_damaged_scan_is_refused_with_the_region(tmp_path: Path) -> None:
    path = write_aperio(tmp_path / "slide.svs", missing=7)
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"slide.svs: rows 0 to 256, columns 0 to 320 are damaged"):
        scan_of(path).read(slice(0, 10), slice(0, 10))


@pytest.mark.parametrize(
    ("name", "start"), [("a.mrxs", b"\xff\xd8\xff"), ("a.vms", b"[Virtual"), ("a.tif", bytes(128) + b"DICM")]
)
def test_the_formats_of_scanners_go_to_openslide(
    tmp_path: Path, name: str, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(start + b"not a slide")
    with pytest.raises(ImageError, match=rf"{name}: OpenSlide cannot read it"):
        open_plane(tmp_path / name)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(MissingExtraError, match=r"needs OpenSlide: pip install 'nucleus-unet\[openslide\]'"):
        open_plane(tmp_path / name)


def test_a_file_that_names_others_is_never_known_again_by_itself(tmp_path: Path) -> None:
    for name in "slide.mrxs", "slide.tif":
        (tmp_path / name).write_bytes(b"")
    assert file_facts(tmp_path / "slide.mrxs") is None
    assert file_facts(tmp_path / "slide.tif") is not None


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_a_fourth_stain_that_is_taken_for_the_opacity_of_colours_is_told(
    caplog: pytest.LogCaptureFixture, dtype: type[np.generic], largest: int
) -> None:
    stains = (np.random.default_rng(0).random((20, 30, 4)) * largest).astype(dtype)
    for opacity, told in ((stains[..., 3], True), (np.where(stains[..., 3] > largest / 3, largest, 0), False)):
        caplog.clear()
        image = stains.copy()
        image[..., 3] = opacity
        with open_image(image) as source:
            source.read(source.plane())
        assert ("taken for the opacity of the colours" in caplog.text) == told
