"""Which files of folders are images, and what is said of the others."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from helpers.segmentations import blobs, made
from nucleus_unet.batch.find import FoundImages, find_images
from nucleus_unet.batch.not_images import why_not
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.ome_zarr import write_label_zarr
from nucleus_unet.exports.overlay import write_overlay_png
from nucleus_unet.exports.tiff import write_label_tiff
from nucleus_unet.io.file_facts import file_facts, is_image
from nucleus_unet.io.zarr import is_zarr

PIXELS = np.eye(20, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of one image."""
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", PIXELS)
    return tmp_path / "in"


def find(*named: str | Path) -> FoundImages:
    return find_images(named, why_not, is_whole=is_zarr)


def names(found: FoundImages) -> list[str]:
    return [relative.as_posix() for _, relative in found.images]


def reasons(found: FoundImages) -> Counter[str]:
    return Counter(each.reason for each in found.passed_over)


def test_what_is_passed_over_is_told_by_its_reason(folder: Path) -> None:
    for name in ("._a.tif", "b.oib", "c.oib", "d.dcm", "notes.txt", "README", "Thumbs.db", "e.png"):
        (folder / name).write_bytes(b"" if name == "e.png" else b"content")
    zarr.create_array(folder / "f.zarr", data=PIXELS)
    found = find(folder)
    assert names(found) == ["a.tif", "f.zarr"]
    assert reasons(found) == {
        "hidden": 1,
        "written by the operating system": 1,
        ".oib, to be converted to OME-TIFF first, for example with Fiji": 2,
        ".dcm in several files each: name one file of each": 1,
        "of no known image format": 2,
        "without content": 1,
    }


def test_results_are_known_by_their_content_wherever_they_lie(folder: Path) -> None:
    labels = np.eye(20, dtype=np.uint32)
    write_label_tiff(folder / "b.tif", labels)
    write_overlay_png(folder / "deep" / "c.png", PIXELS, labels)
    write_label_zarr(folder / "d.zarr", [labels], version="0.5", mpp=None)
    write_label_zarr(folder / "e.zarr", [labels], version="0.4", mpp=None)
    found = find(folder)
    assert names(found) == ["a.tif"]
    assert reasons(found) == {"results of nucleus-unet": 4}


def test_annotated_tables_of_ours_are_results_but_those_of_others_are_not(folder: Path) -> None:
    pytest.importorskip("anndata", reason="anndata is not installed; the dependency group dev has it")
    made(blobs()).save(folder / "b.anndata.zarr")
    zarr.open_group(folder / "c.anndata.zarr", mode="w").attrs["encoding-type"] = "anndata"
    found = find(folder)
    assert names(found) == ["a.tif", "c.anndata.zarr"]
    assert reasons(found) == {"results of nucleus-unet": 1}


def test_results_are_passed_over_when_a_shell_names_them_one_by_one(folder: Path) -> None:
    write_overlay_png(folder / "a.png", PIXELS, np.eye(20, dtype=np.uint32))
    found = find(folder / "a.png", folder / "a.tif")
    assert names(found) == ["a.tif"]
    assert reasons(found) == {"results of nucleus-unet": 1}


def test_results_of_slides_are_no_slides(folder: Path) -> None:
    (folder / "run").mkdir()
    for name in ("plan.json", "labels.tif", "overview.png", "nuclei.parquet", "nuclei.geojson.gz", "summary.json"):
        (folder / "run" / name).write_bytes(b"content")
    found = find_images([folder], why_not, is_whole=is_image)
    assert names(found) == ["a.tif"]
    assert reasons(found) == {"results of nucleus-unet": 6}


def test_a_file_that_macos_keeps_beside_another_is_no_image_even_if_it_is_named(folder: Path) -> None:
    (folder / "._a.tif").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    assert names(find(folder / "a.tif", folder / "._a.tif")) == ["a.tif"]


def test_a_file_that_is_named_is_an_image_whatever_it_is_so_that_a_mistake_is_told(folder: Path) -> None:
    (folder / "b.czi").write_bytes(b"content")
    (folder / ".hidden.tif").write_bytes(b"content")
    assert names(find(folder / "b.czi", folder / "gone.tif", folder / ".hidden.tif")) == [
        "b.czi",
        "gone.tif",
        ".hidden.tif",
    ]


def test_a_pattern_finds_files_and_searches_folders_as_a_shell_would(folder: Path) -> None:
    (folder / "deep").mkdir()
    tifffile.imwrite(folder / "deep" / "b.tif", PIXELS)
    (folder / "notes.txt").write_bytes(b"content")
    assert names(find(f"{folder}/*")) == ["a.tif", "b.tif"]
    assert names(find(f"{folder}/**/*")) == ["a.tif", "b.tif"]
    assert reasons(find(f"{folder}/*")) == {"of no known image format": 1}


def test_a_pattern_that_matches_nothing_is_told(folder: Path) -> None:
    with pytest.raises(SettingsError, match="no file matches"):
        find(f"{folder}/*.jpg")


def test_a_name_that_looks_like_a_pattern_is_a_name_if_there_is_such_a_file(folder: Path) -> None:
    tifffile.imwrite(folder / "b[1].tif", PIXELS)
    assert names(find(folder / "b[1].tif")) == ["b[1].tif"]


@pytest.mark.parametrize(("named", "says"), [("", "got an empty one"), ("a\0b.tif", "NUL")])
def test_what_is_no_path_is_refused(named: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        find(named)


def test_the_parts_of_a_slide_in_several_files_are_told_as_such(folder: Path) -> None:
    for name in ("s.mrxs", "s/Slidedat.ini", "s/Data0000.dat"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"content")
    assert reasons(find(folder))["parts of .mrxs slides"] == 2
    slides = find_images([folder], why_not, is_whole=is_image)
    assert names(slides) == ["a.tif", "s.mrxs"]


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "b.tif")
    assert names(find(folder)) == ["a.tif"]


def test_names_without_a_folder_are_sorted_too() -> None:
    assert why_not(Path("notes.txt")) == why_not(Path("notes")) == "of no known image format"


def write_set(folder: Path, files: list[str]) -> None:
    """Write the channels of an image, each in a file that names all of them."""
    places = "".join(
        f'<TiffData IFD="0" FirstC="{number}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for number, name in enumerate(files)
    )
    for name in files:
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{name}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" '
            'Type="uint8" SizeX="20" SizeY="20" '
            f'SizeC="{len(files)}" SizeZ="1" SizeT="1">{places}</Pixels></Image></OME>'
        )
        tifffile.imwrite(folder / name, PIXELS, description=text.encode(), metadata=None)


def test_an_ome_tiff_of_several_files_is_one_image(folder: Path) -> None:
    write_set(folder, ["c0.ome.tif", "c1.ome.tif", "c2.ome.tif"])
    found = find(folder)
    assert names(found) == ["a.tif", "c0.ome.tif"]
    assert {each.reason for each in found.passed_over} == {
        "further files of an OME-TIFF, which is read from its first file"
    }
    assert names(find(folder / "c1.ome.tif")) == ["c1.ome.tif"]


def test_an_ome_tiff_is_another_one_as_soon_as_any_of_its_files_is(folder: Path) -> None:
    write_set(folder, ["c0.ome.tif", "c1.ome.tif"])
    before = file_facts(folder / "c0.ome.tif")
    assert file_facts(folder / "c0.ome.tif") == before
    other = folder / "c1.ome.tif"
    os.utime(other, ns=(0, other.stat().st_mtime_ns + 1))
    changed = file_facts(folder / "c0.ome.tif")
    assert changed != before
    other.unlink()
    assert file_facts(folder / "c0.ome.tif") not in (before, changed)


def test_an_ome_tiff_that_names_files_elsewhere_is_one_file(folder: Path) -> None:
    write_set(folder, ["c0.ome.tif"])
    text = tifffile.TiffFile(folder / "c0.ome.tif").ome_metadata
    assert text is not None
    tifffile.imwrite(
        folder / "c0.ome.tif", PIXELS, description=text.replace('FileName="c0', 'FileName="/etc/c0').encode()
    )
    assert set(file_facts(folder / "c0.ome.tif") or ()) == {"bytes", "modified"}


def test_of_an_ome_tiff_whose_first_file_is_missing_the_next_is_the_image(folder: Path) -> None:
    write_set(folder, ["c0.ome.tif", "c1.ome.tif", "c2.ome.tif"])
    (folder / "c0.ome.tif").unlink()
    assert names(find(folder)) == ["a.tif", "c1.ome.tif"]


def test_a_file_beside_an_ome_tiff_that_does_not_name_it_is_an_image(folder: Path) -> None:
    write_set(folder, ["c0.ome.tif", "c1.ome.tif"])
    tifffile.imwrite(folder / "c0.ome.tif", PIXELS)
    assert names(find(folder)) == ["a.tif", "c0.ome.tif", "c1.ome.tif"]
