"""Areas, boxes and overlaps of encoded masks, against pycocotools and against the masks decoded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import labels_to_coco, labels_to_kaggle, rle_areas, rle_boxes, rle_iou
from numpy.typing import NDArray
from pycocotools import mask as pycocotools

Masks = NDArray[np.bool_]

shapes = st.tuples(st.integers(1, 20), st.integers(1, 20))
mask_stacks = shapes.flatmap(lambda shape: hnp.arrays(bool, (3, *shape), fill=st.booleans()))


def in_kaggle_form(masks: Masks) -> list[str]:
    return [labels_to_kaggle(mask).get(1, "") for mask in masks]


def in_coco_form(masks: Masks) -> list[dict[str, object]]:
    return [pycocotools.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]


def in_plain_counts(mask: NDArray[np.bool_]) -> dict[str, object]:
    empty = {"size": list(mask.shape), "counts": [mask.size]}
    return labels_to_coco(mask, compressed=False).get(1, empty)


@given(mask_stacks)
def test_areas_and_boxes_are_those_of_pycocotools(masks):
    rles = in_coco_form(masks)
    areas, boxes = rle_areas(rles), rle_boxes(rles)
    np.testing.assert_array_equal(areas, pycocotools.area(rles))
    top, left, bottom, right = boxes.T
    np.testing.assert_array_equal(np.transpose([left, top, right - left, bottom - top]), pycocotools.toBbox(rles))
    assert (areas.dtype, boxes.dtype, boxes.shape) == (np.int64, np.int64, (3, 4))


@given(mask_stacks)
def test_areas_and_boxes_are_those_of_the_decoded_masks(masks):
    rles, shape = in_kaggle_form(masks), masks.shape[1:]
    assert rle_areas(rles, shape).tolist() == [np.count_nonzero(mask) for mask in masks]
    for mask, box in zip(masks, rle_boxes(rles, shape), strict=True):
        rows, columns = np.nonzero(mask)
        expected = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1] if rows.size else [0, 0, 0, 0]
        assert box.tolist() == expected


@given(mask_stacks)
def test_iou_is_that_of_pycocotools_to_the_bit(masks):
    rles = in_coco_form(masks)
    iou = rle_iou(rles, rles[:2])
    np.testing.assert_array_equal(iou, pycocotools.iou(rles, rles[:2], [0, 0]))
    assert (iou.dtype, iou.shape) == (np.float64, (3, 2))


@given(mask_stacks)
def test_iou_is_intersection_over_union_of_the_decoded_masks(masks):
    expected = [[np.sum(a & b) / max(np.sum(a | b), 1) for b in masks] for a in masks]
    np.testing.assert_array_equal(rle_iou(in_kaggle_form(masks), in_kaggle_form(masks), masks.shape[1:]), expected)


@given(mask_stacks, st.integers(1, 4))
def test_neither_the_form_nor_the_number_of_threads_changes_anything(masks, threads):
    shape, kaggle, coco = masks.shape[1:], in_kaggle_form(masks), in_coco_form(masks)
    plain = [in_plain_counts(mask) for mask in masks]
    mixed = [kaggle[0], coco[1], plain[2]]
    expected = rle_areas(coco), rle_boxes(coco), rle_iou(coco, coco)
    for rles in (kaggle, coco, plain, mixed):
        np.testing.assert_array_equal(rle_areas(rles, shape, threads=threads), expected[0])
        np.testing.assert_array_equal(rle_boxes(rles, shape, threads=threads), expected[1])
        np.testing.assert_array_equal(rle_iou(rles, kaggle, shape, threads=threads), expected[2])


def test_compressed_counts_may_be_text_or_bytes():
    (rle,) = in_coco_form(np.ones((1, 2, 3), bool))
    as_text = {"size": rle["size"], "counts": rle["counts"].decode()}
    assert rle_areas([rle, as_text]).tolist() == [6, 6]


def test_runs_of_a_mask_may_come_in_any_order():
    assert rle_boxes(["5 1 1 1"], (2, 3)).tolist() == [[0, 0, 1, 3]]
    assert rle_iou(["5 1 1 1"], ["1 1 5 1"], (2, 3)).tolist() == [[1.0]]


def test_the_form_alone_decides_what_a_string_is():
    # As compressed counts "12" is [1, 2]; as Kaggle's it is a start without a length.
    with pytest.raises(MaskError, match="mask 0, pair 0: start 12 has no length"):
        rle_areas(["12"], (1, 3))
    assert rle_areas([{"size": [1, 3], "counts": "12"}]).tolist() == [2]


def test_masks_of_an_image_larger_than_memory_are_measured():
    shape = (2**31, 2**31)
    assert rle_areas([f"1 {2**62}"], shape).tolist() == [2**62]
    assert rle_boxes([f"{2**61 + 1} {2**60}"], shape).tolist() == [[0, 2**30, 2**31, 2**30 + 2**29]]


def test_an_image_whose_areas_have_no_number_is_refused():
    with pytest.raises(
        MaskError, match=r"shape: expected a height and width of 0 or more, below 2\*\*63 pixels in all"
    ):
        rle_areas([f"1 {2**63}"], (2**32, 2**31))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_an_image_without_pixels_holds_empty_masks_only(shape):
    assert rle_areas(["", {"size": shape, "counts": []}], shape).tolist() == [0, 0]
    assert rle_boxes([""], shape).tolist() == [[0, 0, 0, 0]]
    with pytest.raises(MaskError, match="mask 0, pair 0: start 1 and length 1 run past"):
        rle_areas(["1 1"], shape)


def test_no_mask_gives_empty_tables_of_the_right_shape():
    assert rle_areas([], (2, 3)).shape == (0,)
    assert rle_boxes([], (2, 3)).shape == (0, 4)
    assert rle_iou([], ["1 1"], (2, 3)).shape == (0, 1)
    assert rle_iou(["1 1"], [], (2, 3)).shape == (1, 0)


@pytest.mark.parametrize("measure", [rle_areas, rle_boxes])
@pytest.mark.parametrize(
    ("rles", "shape", "message"),
    [
        (["1 1", "1 2 2 1"], (2, 3), "mask 1, pair 1 overlaps pair 0: both claim pixel 2"),
        (["1 7"], (2, 3), "mask 0, pair 0: start 1 and length 7 run past the last pixel of the image, 6"),
        ([{"size": [2, 3], "counts": [1, 2]}], None, "mask 0, after count 2: the 2 counts sum to 3"),
        ([{"size": [2, 3], "counts": [6]}], (3, 2), r"mask 0: expected size \[3, 2\], got \[2, 3\]"),
        ([{"size": [2, 3], "counts": [6]}, 5], None, "mask 1: expected a mapping with 'size' and 'counts', got 5"),
        ([{"size": [2, 3], "counts": None}], None, "mask 0: expected counts as str, bytes or a list of int"),
        ([{"size": [2**16, 2**16], "counts": []}], None, "COCO counts have 32 bits"),
        ("1 1", (2, 3), r"expected a list of masks, got a single str; pass \[mask\]"),
        ({"size": [2, 3], "counts": [6]}, None, "expected a list of masks, got a single dict"),
        (["1 1"], None, r"shape: expected \(height, width\), got None; no mask states the size"),
        (["1 1"], (2,), r"shape: expected \(height, width\), got \(2,\)"),
    ],
)
def test_what_is_no_list_of_masks_is_refused_with_the_position_of_the_fault(measure, rles, shape, message):
    with pytest.raises(MaskError, match=message):
        measure(rles, shape)


def test_a_faulty_mask_of_two_lists_is_named_with_its_list():
    with pytest.raises(MaskError, match="a: mask 1, pair 0: start 9"):
        rle_iou(["1 1", "9 1"], ["9 9"], (2, 3))
    with pytest.raises(MaskError, match="b: mask 0, pair 0: start 9"):
        rle_iou(["1 1"], ["9 1"], (2, 3))
    with pytest.raises(MaskError, match=r"b: mask 0: expected size \[2, 3\], got \[3, 2\]"):
        rle_iou([{"size": [2, 3], "counts": [6]}], [{"size": [3, 2], "counts": [6]}])
    with pytest.raises(MaskError, match="b: expected a list of masks, got a single str"):
        rle_iou(["1 1"], "1 1", (2, 3))
    with pytest.raises(MaskError, match="b: mask 0: expected"):
        rle_iou(["1 1"], [5], (2, 3))


def test_no_threads_are_refused():
    with pytest.raises(SettingsError, match="threads: expected at least 1"):
        rle_iou(["1 1"], ["1 1"], (2, 3), threads=0)
