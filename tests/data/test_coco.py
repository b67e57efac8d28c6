"""Training sets annotated as COCO JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.commands import run_script
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.errors import DataError
from nucleus_unet.masks import labels_to_coco
from pycocotools import mask as reference

SHAPE = (30, 40)
GREY = np.arange(1200, dtype=np.uint32).reshape(SHAPE).astype(np.uint8)
STAR = [3.2, 4.1, 20.7, 5.0, 12.0, 11.5, 18.3, 25.9, 7.7, 14.2]
SQUARE = [25, 20, 35, 20, 35, 28, 25, 28]
LABELS = np.zeros(SHAPE, np.uint32)
LABELS[2:9, 3:11], LABELS[15:20, 20:30] = 1, 2


def write(
    folder: Path,
    annotations: list[dict[str, Any]],
    *,
    images: list[dict[str, Any]] | None = None,
    table: str = "annotations/instances.json",
) -> Path:
    """Write a set of one image, images/a.png, unless `images` lists others."""
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "images" / "a.png").write_bytes(imagecodecs.png_encode(GREY))
    listed = [{"id": 7, "file_name": "a.png", "height": 30, "width": 40}] if images is None else images
    (folder / table).write_text(json.dumps({"images": listed, "annotations": annotations, "categories": []}))
    return folder


def annotation(segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 7, "category_id": 1, "segmentation": segmentation, **more}


def test_polygons_have_the_pixels_that_pycocotools_gives_them(tmp_path: Path) -> None:
    (example,), report = read_examples(write(tmp_path, [annotation([SQUARE]), annotation([STAR])]))
    np.testing.assert_array_equal(example.image, GREY)
    for label, polygon in ((1, STAR), (2, SQUARE)):  # numbered by raster order
        expected = reference.decode(reference.frPyObjects([polygon], *SHAPE))[..., 0]
        np.testing.assert_array_equal(example.labels == label, expected == 1)
    assert (report.nuclei, report.overlaps) == (2, {})


def test_several_polygons_of_one_annotation_are_one_nucleus(tmp_path: Path) -> None:
    (example,), report = read_examples(write(tmp_path, [annotation([STAR, SQUARE])]))
    assert report.nuclei == 1
    union = reference.decode(reference.merge(reference.frPyObjects([STAR, SQUARE], *SHAPE)))
    np.testing.assert_array_equal(example.labels, union)


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths_come_back_as_the_label_image_they_are_of(tmp_path: Path, compressed: bool) -> None:
    encoded = labels_to_coco(LABELS, compressed=compressed)
    (example,), _ = read_examples(write(tmp_path, [annotation(rle) for rle in encoded.values()]))
    np.testing.assert_array_equal(example.labels, LABELS)


def test_images_without_annotations_have_no_nuclei_and_crowds_are_none(tmp_path: Path) -> None:
    (example,), report = read_examples(write(tmp_path, []))
    assert (report.nuclei, example.labels.any()) == (0, False)
    _, report = read_examples(write(tmp_path, [annotation([STAR], iscrowd=1), annotation([SQUARE], iscrowd=0)]))
    assert report.nuclei == 1


def test_overlapping_polygons_are_reported(tmp_path: Path) -> None:
    _, report = read_examples(write(tmp_path, [annotation([SQUARE]), annotation([[30, 20, 38, 20, 38, 28, 30, 28]])]))
    assert report.overlaps == {"a": 40}


def test_images_are_found_wherever_they_lie_and_named_apart(tmp_path: Path) -> None:
    for folder, content in (("x", GREY), ("y", GREY + 1)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "b.jpg").write_bytes(imagecodecs.jpeg8_encode(content))
    tifffile.imwrite(tmp_path / "c.tif", GREY.astype(np.uint16))
    names = ["x/b.jpg", "y\\b.jpg", "c.tif"]
    write(tmp_path, [], images=[{"id": i, "file_name": name} for i, name in enumerate(names)])
    examples, _ = read_examples(tmp_path)
    assert [(each.name, each.image.dtype) for each in examples] == [("c", "u2"), ("x/b", "u1"), ("y/b", "u1")]


@pytest.mark.parametrize(
    ("segmentation", "says"),
    [
        (None, "expected polygons or a run-length encoding"),
        ([], "expected polygons or a run-length encoding"),
        ([[1, 2, 3, 4]], "at least 3 points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "at least 3 points"),
        ([["a", 2, 3, 4, 5, 6]], "at least 3 points"),
        ([7], "at least 3 points"),
        ([[0, 0, 1e12, 0, 0, 5]], "far outside"),
        ([[0, 0, float("nan"), 0, 0, 5]], "far outside"),
        ({"size": [30, 41], "counts": [1230]}, "41"),
        ({"size": [30, 40], "counts": [7]}, "annotation 1: after count 1"),
        ([[50, 40, 60, 40, 60, 50]], "outside the image of 30 x 40 pixels"),
        ({"size": [30, 40]}, "counts"),
    ],
)
def test_an_image_with_a_faulty_annotation_is_left_out_with_the_reason(
    tmp_path: Path, segmentation: Any, says: str
) -> None:
    listed = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "good.png"}]
    write(tmp_path, [annotation(segmentation)], images=listed)
    (tmp_path / "images" / "good.png").write_bytes(imagecodecs.png_encode(GREY))
    examples, report = read_examples(tmp_path)
    assert [each.name for each in examples] == ["good"]
    assert says in report.skipped["a"]


FAULTY: dict[str, Any] = {
    "a line": [[10, 20, 20, 30]],
    "a point": [[10, 20]],
    "nothing": [],
    "a box alone": None,
    "beside the image": [[50, 40, 60, 40, 60, 50]],
    "words": [["a", "b", "c", "d", "e", "f"]],
    "run lengths of another size": {"size": [40, 30], "counts": [1200]},
    "run lengths that end early": {"size": [30, 40], "counts": [7]},
    "damaged compressed run lengths": {"size": [30, 40], "counts": "zzzz"},
}


@pytest.mark.parametrize("fault", FAULTY)
def test_one_faulty_annotation_costs_itself_with_a_word(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    rles = [annotation(rle) for rle in labels_to_coco(LABELS).values()]
    (example,), report = read_examples(write(tmp_path, [rles[0], annotation(FAULTY[fault]) | {"id": 9}, rles[1]]))
    np.testing.assert_array_equal(example.labels, LABELS)
    assert report.unusable_masks.keys() == {"a"}
    assert report.unusable_masks["a"].startswith("1: annotation 9: ")
    assert f"a: annotations are left out, {report.unusable_masks['a']}" in caplog.text


@pytest.mark.parametrize("flat", [[5, 5, 12, 5, 20, 5], [5, 5, 5, 5, 5, 5]])
def test_polygons_without_a_pixel_are_empty_masks(tmp_path: Path, flat: list[int]) -> None:
    _, report = read_examples(write(tmp_path, [annotation([flat]), annotation([SQUARE])]))
    assert (report.nuclei, report.empty_masks) == (1, {"a": 1})


@pytest.mark.parametrize(
    "polygon",
    [
        pytest.param([-10, 5, 5, 5, 5, 20, -10, 20], id="across the left edge"),
        pytest.param([35, 5, 60, 5, 60, 20, 35, 20], id="across the right edge"),
        pytest.param([2, 2, 22, 22, 22, 2, 2, 22], id="crosses itself"),
    ],
)
def test_polygons_that_leave_the_image_or_cross_themselves_are_what_pycocotools_draws(
    tmp_path: Path, polygon: list[int]
) -> None:
    (example,), _ = read_examples(write(tmp_path, [annotation([polygon])]))
    np.testing.assert_array_equal(example.labels, reference.decode(reference.frPyObjects([polygon], *SHAPE))[..., 0])
    assert example.labels.any()


def test_a_polygon_with_a_sliver_beside_it_is_that_polygon(tmp_path: Path) -> None:
    (example,), report = read_examples(write(tmp_path, [annotation([[1, 2, 3, 4], SQUARE])]))
    np.testing.assert_array_equal(example.labels, reference.decode(reference.frPyObjects([SQUARE], *SHAPE))[..., 0])
    assert report.unusable_masks == {}


@pytest.mark.parametrize("form", [SQUARE, [[[25, 20], [35, 20], [35, 28], [25, 28]]], [[float(n) for n in SQUARE]]])
def test_polygons_are_read_as_programs_write_them(tmp_path: Path, form: Any) -> None:
    (example,), _ = read_examples(write(tmp_path, [annotation(form)]))
    np.testing.assert_array_equal(example.labels, reference.decode(reference.frPyObjects([SQUARE], *SHAPE))[..., 0])


@pytest.mark.parametrize(("listed", "referred"), [(7, "7"), ("7", 7), (7, 7.0), ("cells", "cells")])
def test_ids_are_the_same_as_numbers_and_as_text(tmp_path: Path, listed: Any, referred: Any) -> None:
    images = [{"id": listed, "file_name": "a.png", "height": "30", "width": 40.0}]
    each = annotation([SQUARE]) | {"image_id": referred, "id": "first", "iscrowd": "0"}
    assert read_examples(write(tmp_path, [each], images=images))[1].nuclei == 1


def test_annotations_without_an_image_are_told_and_cost_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stray = [{"segmentation": [SQUARE]}, annotation([SQUARE]) | {"image_id": 99}]
    assert read_examples(write(tmp_path, [annotation([SQUARE]), *stray]))[1].nuclei == 1
    assert "2 annotations have no id of an image, or that of one that is not listed" in caplog.text


@pytest.mark.parametrize("compressed", [True, False])
def test_an_image_of_crowds_alone_is_left_out_because_its_nuclei_would_be_background(
    tmp_path: Path, compressed: bool
) -> None:
    crowds = [annotation(rle, iscrowd=1) for rle in labels_to_coco(LABELS, compressed=compressed).values()]
    with pytest.raises(DataError, match=r"all of its 2 annotations are crowds \(iscrowd is 1\)"):
        read_examples(write(tmp_path, crowds))


def test_an_image_of_the_table_without_a_name_costs_itself(tmp_path: Path) -> None:
    listed = [{"id": 7, "file_name": "a.png"}, {"id": 8}]
    examples, report = read_examples(write(tmp_path, [annotation([SQUARE])], images=listed))
    assert [each.name for each in examples] == ["a"]
    assert "image 1 has no id or no file_name" in report.skipped["image 1"]


def test_an_image_of_another_size_than_the_table_says_is_left_out(tmp_path: Path) -> None:
    listed = [{"id": 7, "file_name": "a.png", "height": 40, "width": 30}, {"id": 8, "file_name": "a.png"}]
    with pytest.raises(DataError, match=r"\(40, 30\) as height and width, but the image has \(30, 40\)"):
        read_examples(write(tmp_path, [], images=listed[:1]))
    with pytest.raises(DataError, match="several images are named"):
        read_examples(write(tmp_path, [], images=listed))


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([{"id": 1, "file_name": "../missing.png"}], "the file ../missing.png was not found"),
        ([{"id": 1}], "image 0 has no id or no file_name"),
        ([{"id": [], "file_name": "a.png"}], "image 0 has no id or no file_name"),
        ([{"id": 1, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}], "the same id"),
        ([], "lists no images"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path: Path, images: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_examples(write(tmp_path, [], images=images))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": {}, "annotations": []}', "[" * 100_000, "\x00"])
def test_json_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    write(tmp_path, [])
    (tmp_path / "annotations" / "instances.json").write_text(content)
    with pytest.raises(DataError, match=r"instances\.json"):
        read_examples(tmp_path)


def test_two_tables_are_refused_and_hidden_ones_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, [], table="annotations/train.json")
    (tmp_path / ".notes.json").write_text("{}")
    assert len(read_examples(tmp_path)[0]) == 1
    write(tmp_path, [], table="annotations/val.json")
    with pytest.raises(DataError, match=r"found 2 JSON files.*train\.json.*val\.json"):
        read_examples(tmp_path)


def test_without_pycocotools_run_lengths_are_read_and_polygons_name_the_extra(tmp_path: Path) -> None:
    masks = [annotation(rle) for rle in labels_to_coco(LABELS).values()]
    script = f"""
import sys
sys.modules["pycocotools"] = None
from pathlib import Path
from nucleus_unet.errors import MissingExtraError
from nucleus_unet.data.dataset import read_examples
assert read_examples(Path({str(write(tmp_path / "a", masks))!r}))[1].nuclei == 2
try:
    read_examples(Path({str(write(tmp_path / "b", [annotation([STAR])]))!r}))
except MissingExtraError as error:
    assert "nucleus-unet[coco]" in str(error)
else:
    raise AssertionError
"""
    run_script(script)
