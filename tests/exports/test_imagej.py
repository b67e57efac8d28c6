"""ROI sets hold the very masks, as roifile reads them and ImageJ's rules say."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import roifile
from helpers.segmentations import blobs, made
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.exports.imagej import encode_roi
from numpy.typing import NDArray
from skimage.draw import polygon2mask

CROWD = np.arange(1, 60 * 60 + 1, dtype=np.uint32).reshape(60, 60)


def opened(path: Path) -> list[roifile.ImagejRoi]:
    rois = roifile.roiread(path)
    return rois if isinstance(rois, list) else [rois]


def mask_of(roi: roifile.ImagejRoi, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> NDArray[np.bool_]:
    """Return the pixels whose centres lie in the ROI by the even-odd rule."""
    inside = np.zeros(shape, bool)
    for path in roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]:
        inside ^= polygon2mask(shape, np.asarray(path, float)[:, ::-1] - corner - 0.5)
    return inside


@pytest.mark.parametrize("labels", [blobs(), CROWD], ids=["few", "many"])
@pytest.mark.parametrize("name", ["RoiSet.zip", "a.roi.zip"])
def test_each_roi_covers_the_pixels_of_the_nucleus_that_it_names(
    tmp_path: Path, labels: NDArray[np.uint32], name: str
) -> None:
    made(labels).save(tmp_path / name)
    rois = opened(tmp_path / name)
    assert [roi.name for roi in rois] == [str(label) for label in range(1, labels.max() + 1)]
    for roi in rois[:: max(1, len(rois) // 50)]:
        np.testing.assert_array_equal(mask_of(roi, labels.shape), labels == int(roi.name))


def test_the_entries_of_the_zip_have_the_names_that_the_roi_manager_shows(tmp_path: Path) -> None:
    made(blobs()).save(tmp_path / "a.zip")
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == [f"{label}.roi" for label in range(1, 6)]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)))
def test_a_mask_of_any_form_is_given_back(mask: NDArray[np.uint32]) -> None:
    for outline in _core.contours_wkb(mask, (0, 0)):
        roi = roifile.ImagejRoi.frombytes(encode_roi(outline, "1"))
        np.testing.assert_array_equal(mask_of(roi, mask.shape), mask > 0)


@pytest.mark.parametrize("place", [0, 32_760, 40_000, 60_530, 65_530, 200_000])
@pytest.mark.parametrize("form", ["one piece", "with a hole"])
def test_nuclei_far_out_on_a_slide_keep_their_place(place: int, form: str) -> None:
    mask = np.ones((5, 7), np.uint32)
    mask[2, 3] = form == "one piece"
    (outline,) = _core.contours_wkb(mask, (place, place + 3))
    roi = roifile.ImagejRoi.frombytes(encode_roi(outline, "1"))
    np.testing.assert_array_equal(mask_of(roi, mask.shape, (place, place + 3)), mask > 0)


def test_a_nucleus_in_one_piece_is_a_traced_polygon_of_integers() -> None:
    (outline,) = _core.contours_wkb(np.ones((3, 4), np.uint32), (10, 20))
    roi = roifile.ImagejRoi.frombytes(encode_roi(outline, "nucleus 1"))
    assert (roi.roitype, roi.subpixelresolution, roi.name) == (roifile.ROI_TYPE.TRACED, False, "nucleus 1")
    assert (roi.top, roi.left, roi.bottom, roi.right) == (10, 20, 13, 24)


def test_the_bytes_are_those_that_roifile_writes() -> None:
    (outline,) = _core.contours_wkb(np.ones((3, 4), np.uint32), (10, 20))
    content = encode_roi(outline, "1")
    roi = roifile.ImagejRoi.frombytes(content)
    again = roi.tobytes()
    assert roifile.ImagejRoi.frombytes(again) == roi
    assert content[:64] == again[:64]


def test_an_image_without_nuclei_gives_an_empty_set(tmp_path: Path) -> None:
    made(np.zeros((5, 7), np.uint32)).save(tmp_path / "a.zip")
    assert zipfile.ZipFile(io.BytesIO((tmp_path / "a.zip").read_bytes())).namelist() == []
