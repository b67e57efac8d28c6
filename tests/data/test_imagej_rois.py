"""Training sets from ROIs of ImageJ and Fiji."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
from helpers.annotations import SHAPE, roi, rois, write_set
from helpers.segmentations import blobs, made
from nucleus_unet.data.dataset import Example, ReadReport, read_examples
from nucleus_unet.data.imagej_rois import read_objects
from nucleus_unet.errors import DataError, MissingExtraError
from numpy.typing import NDArray

SQUARE = [[5, 6], [15, 6], [15, 12], [5, 12]]


def read(folder: Path, content: bytes, name: str = "a_rois__zip") -> tuple[Example, ReadReport]:
    (example,), report = read_examples(write_set(folder, **{name: content}))
    return example, report


def area(kind: roifile.ROI_TYPE, box: tuple[int, int, int, int]) -> bytes:
    """A rectangle or an oval in left, top, right and bottom."""
    left, top, right, bottom = box
    made_roi = roifile.ImagejRoi(
        roitype=kind, left=left, top=top, right=right, bottom=bottom, name=kind.name, n_coordinates=0
    )
    return bytes(made_roi.tobytes())


def within(ellipse: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie in an ellipse, by its equation."""
    left, top, right, bottom = ellipse
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    x, y = (2 * columns - left - right) / (right - left), (2 * rows - top - bottom) / (bottom - top)
    inside: NDArray[np.bool_] = x**2 + y**2 < 1
    return inside


@pytest.mark.parametrize("kind", [roifile.ROI_TYPE.POLYGON, roifile.ROI_TYPE.FREEHAND, roifile.ROI_TYPE.TRACED])
def test_polygons_count_from_the_corners_of_pixels(tmp_path: Path, kind: roifile.ROI_TYPE) -> None:
    example, _ = read(tmp_path, rois(one=roi("one", SQUARE, roitype=kind)))
    expected = np.zeros(SHAPE, np.uint32)
    expected[6:12, 5:15] = 1
    np.testing.assert_array_equal(example.labels, expected)


def packed(*, method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.roi", content)
    return file.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_cannot_be_unpacked_costs_itself(method: int) -> None:
    for place in range(35, 90):
        damaged = bytearray(packed(method=method, a=roi("a", SQUARE), b=roi("b", SQUARE)))
        damaged[place : place + 8] = b"\xff" * 8
        drawing = read_objects(bytes(damaged), "x.zip")
        assert len(drawing.objects) + len(drawing.unusable) == 2


def test_encrypted_and_overlarge_members_are_told() -> None:
    locked = bytearray(packed(a=roi("a", SQUARE)))
    locked[6] |= 1
    locked[locked.index(b"PK\1\2") + 8] |= 1
    assert read_objects(bytes(locked), "x.zip").unusable == ["x.zip: a.roi is damaged: it is encrypted"]
    (told,) = read_objects(packed(a=bytes(2**26)), "x.zip").unusable
    assert told == "x.zip: a.roi is damaged: it unpacks to more than 64 MB"


def test_of_several_slices_only_the_first_counts() -> None:
    first, third, every = (roi(f"slice {n}", SQUARE, position=n) for n in (1, 3, 0))
    drawing = read_objects(rois(a=first, b=third, c=every), "x.zip")
    assert [each.classes[0] for each in drawing.objects] == ["slice 1", "slice 0"]
    assert drawing.unusable == ["x.zip: b.roi lies on another slice of the stack (3)"]
    # A channel of a stack is a slice, too: ROIs of one slice are those of the image.
    assert len(read_objects(rois(a=third, b=third, c=every), "x.zip").objects) == 3


def test_an_oval_of_any_size_has_a_bounded_number_of_vertices() -> None:
    content = bytearray(area(roifile.ROI_TYPE.OVAL, (1, 2, 9, 8)))
    struct.pack_into(">H", content, 4, 227)
    struct.pack_into(">H", content, 50, struct.unpack_from(">H", content, 50)[0] | 128)
    struct.pack_into(">ffff", content, 18, 0, 0, 3e8, 3e8)
    (drawn,) = read_objects(bytes(content), "a.roi").objects
    assert len(drawn.pieces[0][0]) == 2**16


def test_vertices_between_pixels_are_used_as_they_are(tmp_path: Path) -> None:
    content = roi("one", np.array(SQUARE, np.float32) + np.float32(0.6))
    example, _ = read(tmp_path, rois(one=content))
    rows, columns = np.nonzero(example.labels)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (7, 12, 6, 15)


def test_rectangles_and_ovals_have_the_pixels_of_their_equations(tmp_path: Path) -> None:
    oval, rectangle = (3, 4, 24, 31), (30, 2, 41, 9)
    content = rois(one=area(roifile.ROI_TYPE.OVAL, oval), two=area(roifile.ROI_TYPE.RECT, rectangle))
    example, _ = read(tmp_path, content)
    np.testing.assert_array_equal(example.labels == example.labels[17, 13], within(oval))
    np.testing.assert_array_equal(np.argwhere(example.labels == 1).min(axis=0), [2, 30])
    assert (example.labels == 1).sum() == 77


def test_our_own_export_with_holes_and_pieces_gives_back_the_label_image(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, np.uint32)
    labels[: min(SHAPE[0], blobs().shape[0]), : min(SHAPE[1], blobs().shape[1])] = blobs()[: SHAPE[0], : SHAPE[1]]
    labels[30:38, 30:38] = 90
    labels[33:35, 33:35] = 0
    labels[30:32, 42:45] = 90
    nuclei = made(labels)
    write_set(tmp_path)
    nuclei.save(tmp_path / "a.roi.zip")
    (example,), _ = read_examples(tmp_path)
    np.testing.assert_array_equal(example.labels > 0, labels > 0)
    assert example.labels.max() == len(np.unique(labels)) - 1


def test_curves_of_a_composite_are_followed(tmp_path: Path) -> None:
    # A circle of four cubic Bezier curves around (20, 20) with radius 10, as Java draws ovals.
    k = 10 * 0.5522847498
    path = [0, 30, 20, 3, 30, 20 + k, 20 + k, 30, 20, 30, 3, 20 - k, 30, 10, 20 + k, 10, 20]
    path += [3, 10, 20 - k, 20 - k, 10, 20, 10, 3, 20 + k, 10, 30, 20 - k, 30, 20, 4]
    composite = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=10, top=10, right=30, bottom=30, shape_roi_size=len(path), name="circle"
    )
    composite.multi_coordinates = np.array(path, np.float32)
    example, _ = read(tmp_path, rois(one=composite.tobytes()))
    assert np.count_nonzero((example.labels > 0) != within((10, 10, 30, 30))) <= 4


@pytest.mark.parametrize(
    "name", ["a__zip", "a_rois__zip", "a_RoiSet__zip", "a-RoiSet__zip", "RoiSet__zip", "a__png__zip"]
)
def test_the_set_of_an_image_has_one_of_the_names_that_people_give_it(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, rois(one=roi("one", SQUARE)), name)[1].nuclei == 1


def test_a_single_roi_is_a_file_of_its_own(tmp_path: Path) -> None:
    assert read(tmp_path, roi("one", SQUARE), "a__roi")[1].nuclei == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (roi("x", SQUARE, roitype=roifile.ROI_TYPE.POLYLINE), "has no area, it is a polyline"),
        (roi("x", SQUARE, roitype=roifile.ROI_TYPE.POINT), "has no area, it is a point"),
        (roi("x", SQUARE[:2]), "has no area, it has fewer than 3 points"),
        (roi("x", SQUARE, z_position=2), "lies on another plane of the image (z 2, t 0)"),
        (roi("x", [[90, 90], [95, 90], [95, 95]]), "lies outside of the image of 40 x 50 pixels"),
        (roi("x", SQUARE)[:40], "is damaged"),
        (roi("x", SQUARE)[:70], "is damaged"),
        (b"no ROI at all" * 9, "is damaged"),
        (b"", "is damaged"),
    ],
)
def test_a_roi_that_cannot_be_used_costs_itself_and_the_warning_names_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    _, report = read(tmp_path, rois(bad=content, good=roi("good", SQUARE)))
    assert report.nuclei == 1
    assert report.unusable_masks["a"].startswith(f"1: a_rois.zip: bad.roi {reason}")


def test_no_damage_of_single_bytes_is_worse_than_a_reason(tmp_path: Path) -> None:
    good = bytearray(roi("nucleus", SQUARE))
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(good)
        for place in rng.integers(4, len(damaged), 3):
            damaged[place] = rng.integers(256)
        drawing = read_objects(bytes(damaged), "a.roi")
        assert len(drawing.objects) + len(drawing.unusable) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 damage", "expected ROIs of ImageJ"),
        (b"", "expected ROIs of ImageJ"),
        (struct.pack(">I", 7), "ROIs"),
    ],
)
def test_what_is_no_set_of_rois_is_refused_by_the_name_of_the_file(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=f"a: a_rois.zip: .*{message}"):
        read_examples(write_set(tmp_path, a_rois__zip=content))


def test_a_zip_of_other_files_is_refused(tmp_path: Path) -> None:
    content = rois(one=b"text").replace(b"one.roi", b"one.txt")
    with pytest.raises(DataError, match=r"a_rois.zip: expected a zip of ROIs .* found one.txt"):
        read_examples(write_set(tmp_path, a_rois__zip=content))


def test_without_the_package_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[imagej\]'"):
        read_examples(write_set(tmp_path, a__zip=rois(one=roi("one", SQUARE))))
