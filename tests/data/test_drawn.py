"""Which drawn objects are nuclei, how overlaps are settled, and which part of an image is annotated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.annotations import SHAPE, box, collection, feature, roi, rois, write_set
from nucleus_unet.data.dataset import Example, ReadReport, read_examples
from nucleus_unet.errors import DataError, SettingsError
from numpy.typing import NDArray


def read(folder: Path, *features: dict[str, Any], **options: Any) -> tuple[Example, ReadReport]:
    (example,), report = read_examples(write_set(folder, a__geojson=collection(*features)), **options)
    return example, report


def area(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    covered = np.zeros(SHAPE, bool)
    covered[top:bottom, left:right] = True
    return covered


# --- overlaps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_of_two_overlapping_nuclei_has_the_pixels_whatever_their_order(tmp_path: Path, order: int) -> None:
    small, large = feature(box(10, 10, 16, 16)), feature(box(12, 8, 30, 28))
    example, report = read(tmp_path, *[small, large][::order])
    sizes = sorted(int((example.labels == label).sum()) for label in (1, 2))
    assert (sizes, report.overlaps) == ([36, 18 * 20 - 24], {"a": 24})


def test_a_nucleus_that_is_drawn_twice_is_one(tmp_path: Path) -> None:
    _, report = read(tmp_path, feature(box(10, 10, 16, 16)), feature(box(10, 10, 16, 16)))
    assert (report.nuclei, report.hidden_masks) == (1, {"a": 1})


def test_an_annotation_around_nuclei_is_an_area_and_said_to_be_one(tmp_path: Path) -> None:
    inside = [feature(box(2, 2, 8, 8)), feature(box(12, 2, 18, 8), "annotation")]
    example, report = read(tmp_path, feature(box(0, 0, 40, 30), "annotation"), *inside)
    np.testing.assert_array_equal(example.labels > 0, area(2, 2, 8, 8) | area(12, 2, 18, 8))
    assert report.unusable_masks == {"a": "1: a.geojson: object 1 is taken for an area: 2 objects lie in it"}


# --- regions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Ignore*", "ignore", "IGNORE", "Ignore: Tumor"])
def test_what_is_ignored_does_not_count(tmp_path: Path, name: str) -> None:
    nucleus = feature(box(30, 20, 40, 30))
    example, report = read(tmp_path, nucleus, feature(box(0, 0, 20, 20), "annotation", name))
    np.testing.assert_array_equal(example.valid, ~area(0, 0, 20, 20))
    assert (report.nuclei, report.partly_annotated) == (1, {"a": 0.8})


@pytest.mark.parametrize("name", ["Region*", "region", "Only here", "only here 2"])
def test_where_there_are_regions_only_they_count(tmp_path: Path, name: str) -> None:
    regions = [feature(box(0, 0, 20, 20), "annotation", name), feature(box(30, 0, 40, 10), "annotation", name)]
    hole = feature(box(5, 5, 10, 10), "annotation", "Ignore*")
    example, _ = read(tmp_path, *regions, hole, feature(box(12, 12, 18, 18)))
    np.testing.assert_array_equal(example.valid, (area(0, 0, 20, 20) | area(30, 0, 40, 10)) & ~area(5, 5, 10, 10))


def test_a_nucleus_counts_completely_if_half_of_it_is_annotated_and_else_not_at_all(tmp_path: Path) -> None:
    region = feature(box(0, 0, 20, 40), "annotation", "Region*")
    half, less = feature(box(15, 0, 25, 10)), feature(box(16, 20, 26, 30))
    example, report = read(tmp_path, region, half, less)
    np.testing.assert_array_equal(example.labels > 0, area(15, 0, 25, 10))
    expected = (area(0, 0, 20, 40) | area(15, 0, 25, 10)) & ~area(16, 20, 26, 30)
    np.testing.assert_array_equal(example.valid, expected)
    assert report.nuclei == 1


def test_classes_can_have_other_names(tmp_path: Path) -> None:
    unsure, done = feature(box(0, 0, 20, 20), of_class="Unsure"), feature(box(0, 0, 50, 30), "annotation", "Done")
    options = {"ignore_classes": ["unsure"], "region_classes": ["done"]}
    example, report = read(tmp_path, unsure, done, **options)
    np.testing.assert_array_equal(example.valid, area(0, 0, 50, 30) & ~area(0, 0, 20, 20))
    assert report.nuclei == 0


def test_a_class_of_both_meanings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'region' in both"):
        read(tmp_path, ignore_classes=["Region"])


def test_names_of_rois_and_of_objects_mean_regions_too(tmp_path: Path) -> None:
    square = [[0, 0], [20, 0], [20, 20], [0, 20]]
    content = rois(Ignore=roi("Ignore-1", square), n=roi("7", [[30, 20], [40, 20], [40, 30]]))
    (example,), _ = read_examples(write_set(tmp_path / "rois", a__zip=content))
    np.testing.assert_array_equal(example.valid, ~area(0, 0, 20, 20))
    example, _ = read(tmp_path / "names", feature(box(0, 0, 20, 20), "annotation", name="Ignore"))
    np.testing.assert_array_equal(example.valid, ~area(0, 0, 20, 20))


def test_an_image_beside_the_only_region_is_left_out_and_not_taken_for_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no region lies in it"):
        read(tmp_path, feature(box(500, 500, 600, 600), "annotation", "Region*"), feature(box(2, 2, 9, 9)))


def test_an_image_of_which_nothing_counts_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing of the image counts"):
        read(tmp_path, feature(box(0, 0, 50, 40), "annotation", "Ignore*"))


# --- label images beside images ----------------------------------------------------------------------------

NUMBERED = np.where(area(2, 2, 10, 10), 5, np.where(area(30, 20, 40, 30), 3, 0)).astype(np.uint16)


def encoded(labels: NDArray[Any], suffix: str) -> bytes:
    import io

    import tifffile

    buffer = io.BytesIO()
    if suffix == "npy":
        np.save(buffer, labels)
    elif suffix == "tif":
        tifffile.imwrite(buffer, labels)
    else:
        return bytes(imagecodecs.png_encode(labels))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a__npy", "a_labels__tif", "a_label__png", "a_masks__tif", "a_cp_masks__png"])
def test_a_label_image_beside_its_image_is_read_as_napari_and_cellpose_save_it(tmp_path: Path, name: str) -> None:
    (example,), report = read_examples(write_set(tmp_path, **{name: encoded(NUMBERED, name[-3:])}))
    np.testing.assert_array_equal(example.labels > 0, NUMBERED > 0)
    assert (example.name, report.nuclei) == ("a", 2)


def test_regions_can_be_drawn_beside_a_label_image(tmp_path: Path) -> None:
    region = collection(feature(box(0, 0, 20, 20), "annotation", "Region*"))
    (example,), report = read_examples(write_set(tmp_path, a_labels__tif=encoded(NUMBERED, "tif"), a__geojson=region))
    np.testing.assert_array_equal(example.valid, area(0, 0, 20, 20))
    assert report.nuclei == 1


def test_nuclei_in_two_files_are_refused_as_nobody_knows_which_is_right(tmp_path: Path) -> None:
    drawn = collection(feature(box(0, 0, 20, 20)))
    with pytest.raises(DataError, match=r"drawn in a.geojson and numbered in a_labels.tif"):
        read_examples(write_set(tmp_path, a_labels__tif=encoded(NUMBERED, "tif"), a__geojson=drawn))
    with pytest.raises(DataError, match=r"a.geojson and a.zip both annotate it"):
        read_examples(write_set(tmp_path / "two", a__zip=rois(), a__geojson=drawn))


# --- which files belong together ---------------------------------------------------------------------------


def test_images_without_annotations_are_left_out_and_named(tmp_path: Path) -> None:
    write_set(tmp_path, a__geojson=collection(feature(box(2, 2, 9, 9))))
    (tmp_path / "ß b.png").write_bytes((tmp_path / "a.png").read_bytes())
    examples, report = read_examples(tmp_path)
    assert [example.name for example in examples] == ["a"]
    assert report.skipped["ß b"].startswith("no annotations beside it, such as ß b.geojson")


@pytest.mark.parametrize("folder", ["annotations", "labels", "masks"])
def test_annotations_may_lie_in_a_folder_beside_that_of_the_images(tmp_path: Path, folder: str) -> None:
    write_set(tmp_path / "images")
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a.geojson").write_bytes(collection(feature(box(2, 2, 9, 9))))
    assert read_examples(tmp_path)[1].nuclei == 1


def test_results_of_a_run_are_not_taken_for_images(tmp_path: Path) -> None:
    from nucleus_unet.io.software_tag import mark_png

    write_set(tmp_path, a__geojson=collection(feature(box(2, 2, 9, 9))))
    (tmp_path / "a.png").write_bytes(mark_png((tmp_path / "a.png").read_bytes()))
    with pytest.raises(DataError, match=r"a\.png is a result of nucleus-unet, expected an image"):
        read_examples(tmp_path)
