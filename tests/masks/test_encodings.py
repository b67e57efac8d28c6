"""Run-length encodings: Kaggle's and COCO's, there and back, and what is refused."""

import json
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers.oracles import kaggle_by_numpy, pycocotools_encode, ranked
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import (
    MergeReport,
    Overlap,
    coco_to_labels,
    coco_to_mask,
    kaggle_to_labels,
    labels_to_coco,
    labels_to_kaggle,
    mask_to_coco,
    rle_areas,
    rle_boxes,
)
from pycocotools import mask as pycocotools

NOTHING_LOST = MergeReport((), (), ())

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=80)
label_images = hnp.arrays(np.uint32, shapes, elements=st.sampled_from([0, 0, 1, 1, 2, 7, 2**32 - 1]))
some_image = np.array([[0, 1, 1, 0], [2, 1, 0, 9], [2, 0, 0, 9]], np.uint32)


class TestAnImageThatIsSharedOutAmongThreads:
    """Above a million pixels; smaller ones are done by one thread, another way."""

    # Patches of a few labels, and one that fills whole columns.
    patches = np.random.default_rng(5).integers(0, 5, (35, 41), np.uint32).repeat(30, axis=0).repeat(30, axis=1)
    patches[:, 500:700] = 9
    labels = patches[:1031, :1217]

    @pytest.mark.parametrize("threads", [1, 2, None])
    def test_it_is_encoded_as_numpy_and_pycocotools_do(self, threads):
        labels = self.labels
        present = [int(label) for label in np.unique(labels) if label]
        assert labels_to_kaggle(labels, threads=threads) == {label: kaggle_by_numpy(labels, label) for label in present}
        strings = {label: rle["counts"] for label, rle in labels_to_coco(labels, threads=threads).items()}
        assert strings == {label: pycocotools_encode(labels, label)["counts"].decode() for label in present}

    @pytest.mark.parametrize("threads", [1, 2, None])
    def test_decoding_undoes_encoding_and_reports_what_overlaps(self, threads):
        rles = [*labels_to_kaggle(self.labels).values(), f"1 {self.labels.size}"]
        decoded, report = kaggle_to_labels(rles, self.labels.shape, threads=threads)
        expected = ranked(self.labels)
        areas = np.bincount(expected.ravel())[1:]
        np.testing.assert_array_equal(decoded, np.where(expected, expected, areas.size + 1))
        lost = [Overlap(mask, areas.size, int(area)) for mask, area in enumerate(areas)]
        assert report == MergeReport(tuple(lost), (), ())


class TestKaggle:
    @given(label_images)
    def test_decoding_undoes_encoding(self, labels):
        decoded, report = kaggle_to_labels(labels_to_kaggle(labels).values(), labels.shape)
        np.testing.assert_array_equal(decoded, ranked(labels))
        assert decoded.dtype == np.uint32
        assert report == NOTHING_LOST

    @given(label_images)
    def test_every_instance_is_encoded_as_numpy_finds_it_in_ascending_label_order(self, labels):
        present = [int(label) for label in np.unique(labels) if label]
        expected = {label: kaggle_by_numpy(labels, label) for label in present}
        assert list(labels_to_kaggle(labels).items()) == list(expected.items())

    def test_starts_count_from_one_down_the_columns(self):
        assert labels_to_kaggle(some_image) == {1: "4 2 7 1", 2: "2 2", 9: "11 2"}

    def test_a_run_goes_on_from_the_foot_of_a_column_to_the_next(self):
        assert labels_to_kaggle(np.ones((3, 4), np.uint32)) == {1: "1 12"}

    def test_more_than_65536_instances_are_kept_apart(self):
        labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
        rles = labels_to_kaggle(labels)
        assert len(rles) == 300 * 300 - 1
        decoded, _ = kaggle_to_labels(rles.values(), labels.shape)
        np.testing.assert_array_equal(decoded, labels)

    def test_runs_of_a_mask_may_come_in_any_order(self):
        labels, _ = kaggle_to_labels(["4 1 1 2"], (2, 2))
        np.testing.assert_array_equal(labels, [[1, 0], [1, 1]])

    def test_of_two_masks_the_earlier_wins_and_the_loss_is_reported(self):
        labels, report = kaggle_to_labels(["1 2", "2 3"], (2, 2))
        np.testing.assert_array_equal(labels, [[1, 2], [1, 2]])
        assert report == MergeReport((Overlap(0, 1, 1),), (), ())
        assert report.lost_pixels == 1

    def test_an_empty_mask_is_reported_and_its_label_is_absent(self):
        labels, report = kaggle_to_labels(["", "1 1", " "], (1, 1))
        np.testing.assert_array_equal(labels, [[2]])
        assert report.empty == (0, 2)

    def test_a_mask_that_loses_every_pixel_is_reported_as_hidden(self):
        _, report = kaggle_to_labels(["1 4", "2 2"], (2, 2))
        assert report == MergeReport((Overlap(0, 1, 2),), (), (1,))

    @pytest.mark.parametrize(
        ("rle", "message"),
        [
            ("1 2 2 1", "mask 1, pair 1 overlaps pair 0: both claim pixel 2"),
            ("5 1 3 1 1 3", "mask 1, pair 2 overlaps pair 1: both claim pixel 3"),
            ("2 1 2 1", "mask 1, pair 1 overlaps pair 0"),
            ("1 1 3 5", "mask 1, pair 1: start 3 and length 5 run past the last pixel of the image, 6"),
            ("7 1", "mask 1, pair 0: start 7 and length 1 run past"),
            ("1 18446744073709551615", "mask 1, pair 0: start 1 and length 18446744073709551615 run past"),
            ("2 18446744073709551615", "mask 1, pair 0: start 2"),
            ("1 1 3", r"mask 1, pair 1: start 3 has no length \(the string holds an odd count of numbers\)"),
            ("0 1", 'mask 1, pair 0, character 0: the start "0" is not 1 or more'),
            ("-3 1", 'mask 1, pair 0, character 0: the start "-3" is not 1 or more'),
            ("1 1 3  0", 'mask 1, pair 1, character 7: the length "0" is not 1 or more'),
            ("1 -2", 'mask 1, pair 0, character 2: the length "-2" is not 1 or more'),
            ("1 1 3 x", 'mask 1, pair 1, character 6: the length "x" is not a whole number'),
            ("1 1.0", 'mask 1, pair 0, character 2: the length "1.0" is not a whole number'),
            ("+1 1", "character 0: the start .* is not a whole number"),
            ("1,1", "character 0: the start .* is not a whole number"),
            ("1 - 1", 'character 2: the length "-" is not a whole number'),
            ("1 1 é 1", 'character 4: the start "é" is not a whole number'),
            ("٣ 1", "character 0: the start .* is not a whole number"),
            ("18446744073709551616 1", "character 0: the start .* does not fit in 64 bits"),
            ("1 99999999999999999999999", "character 2: the length .* does not fit in 64 bits"),
        ],
    )
    def test_decoding_rejects_a_broken_mask_with_the_position_of_the_fault(self, rle, message):
        with pytest.raises(MaskError, match=message):
            kaggle_to_labels(["1 1", rle], (2, 3))

    @pytest.mark.parametrize("missing", [float("nan"), None, 3, b"1 1"])
    def test_decoding_rejects_what_is_no_string_with_its_place(self, missing):
        with pytest.raises(MaskError, match="mask 1: expected a str"):
            kaggle_to_labels(["1 1", missing], (2, 3))

    def test_decoding_rejects_one_string_in_place_of_a_list(self):
        with pytest.raises(MaskError, match="expected a list of masks, got a single str"):
            kaggle_to_labels("1 1", (2, 3))

    @given(st.text(alphabet="0123456789 -x", max_size=20))
    def test_any_string_decodes_or_is_a_mask_error(self, text):
        try:
            labels, _ = kaggle_to_labels([text], (5, 6))
        except MaskError:
            return
        assert set(np.unique(labels)) <= {0, 1}


class TestCoco:
    @given(label_images)
    def test_compressed_counts_are_those_of_pycocotools_byte_for_byte(self, labels):
        for label, rle in labels_to_coco(labels).items():
            expected = pycocotools_encode(labels, label)
            assert rle["size"] == expected["size"]
            assert str(rle["counts"]).encode() == expected["counts"]

    @given(label_images, st.booleans())
    def test_decoding_undoes_encoding(self, labels, compressed):
        rles = labels_to_coco(labels, compressed=compressed).values()
        decoded, report = coco_to_labels(rles, labels.shape)
        np.testing.assert_array_equal(decoded, ranked(labels))
        assert report == NOTHING_LOST

    @given(label_images)
    def test_masks_that_pycocotools_encoded_decode_to_the_same_pixels(self, labels):
        rles = [pycocotools_encode(labels, label) for label in np.unique(labels) if label]
        decoded, _ = coco_to_labels(rles, labels.shape)
        np.testing.assert_array_equal(decoded, ranked(labels))

    @given(st.lists(st.integers(1, 2**17), min_size=1, max_size=8))
    def test_long_runs_are_compressed_as_pycocotools_does(self, counts):
        height = sum(counts)
        expected = pycocotools.frPyObjects({"size": [height, 1], "counts": counts}, height, 1)
        labels, _ = coco_to_labels([expected])
        np.testing.assert_array_equal(labels[:, 0], np.repeat(np.arange(len(counts)) % 2, counts))
        for rle in labels_to_coco(labels).values():
            assert str(rle["counts"]).encode() == expected["counts"]

    @given(st.integers(1, 2**32 - 1))
    def test_the_largest_counts_are_read_as_pycocotools_writes_them(self, count):
        rle = pycocotools.frPyObjects({"size": [1, 0], "counts": [0, 0, 0, count]}, 1, 0)
        with pytest.raises(MaskError, match=f"count 3 is {count} and runs past the last pixel"):
            coco_to_labels([rle])

    def test_uncompressed_counts_begin_with_background_and_end_with_what_is_left(self):
        rles = labels_to_coco(some_image, compressed=False)
        assert rles[1] == {"size": [3, 4], "counts": [3, 2, 1, 1, 5]}
        assert rles[9] == {"size": [3, 4], "counts": [10, 2]}

    @pytest.mark.parametrize("compressed", [True, False])
    def test_masks_survive_json(self, compressed):
        text = json.dumps(list(labels_to_coco(some_image, compressed=compressed).values()))
        labels, _ = coco_to_labels(json.loads(text))
        np.testing.assert_array_equal(labels, ranked(some_image))

    def test_counts_may_be_an_array(self):
        labels, _ = coco_to_labels([{"size": (2, 2), "counts": np.array([1, 3])}])
        np.testing.assert_array_equal(labels, [[0, 1], [1, 1]])

    def test_a_count_of_zero_is_allowed_anywhere(self):
        labels, _ = coco_to_labels([{"size": [2, 2], "counts": [1, 1, 0, 1, 1, 0]}])
        np.testing.assert_array_equal(labels, [[0, 1], [1, 0]])

    def test_a_mask_of_background_alone_is_reported_as_empty(self):
        _, report = coco_to_labels([{"size": [2, 2], "counts": [4]}])
        assert report.empty == (0,)

    def test_of_two_masks_the_earlier_wins_and_the_loss_is_reported(self):
        masks = [{"size": [2, 2], "counts": [0, 2, 2]}, {"size": [2, 2], "counts": [1, 3]}]
        labels, report = coco_to_labels(masks)
        np.testing.assert_array_equal(labels, [[1, 2], [1, 2]])
        assert report.overlaps == (Overlap(0, 1, 1),)

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ([1, 2], "mask 1, after count 2: the 2 counts sum to 3, but the image has 6 pixels"),
            ([], "mask 1, after count 0: the 0 counts sum to 0, but the image has 6 pixels"),
            ([1, 2, 4], "mask 1, count 2 is 4 and runs past the last pixel of the image, 6"),
            ([6, 4294967295], "mask 1, count 1 is 4294967295 and runs past"),
            ([1, -1, 6], "mask 1, count 1 is -1, expected 0 to 4294967295"),
            ([1, 4294967296], "mask 1, count 1 is 4294967296, expected 0 to 4294967295"),
            ([1, 2**70], "mask 1, count 1: expected an int of 0 to 4294967295, got 1180591620717411303424"),
            ([1, 2.0, 3], "mask 1, count 1: expected an int of 0 to 4294967295, got 2.0"),
            ([1, "2", 3], "mask 1, count 1: expected an int of 0 to 4294967295, got 2"),
            (None, "mask 1: expected counts as str, bytes or a list of int, got NoneType"),
            (6, "mask 1: expected counts as str, bytes or a list of int, got int"),
            (bytearray([2, 4]), "mask 1: expected counts as str, bytes or a list of int, got bytearray"),
            (memoryview(b"\2\4"), "mask 1: expected counts as str, bytes or a list of int, got memoryview"),
            ({2: 0, 4: 0}, "mask 1: expected counts as str, bytes or a list of int, got dict"),
            (frozenset({2, 4}), "mask 1: expected counts as str, bytes or a list of int, got frozenset"),
            (iter([2, 4]), "mask 1: expected counts as str, bytes or a list of int, got list_iterator"),
            ("", "mask 1, after count 0: the 0 counts sum to 0, but the image has 6 pixels"),
            ("12", "mask 1, after count 2: the 2 counts sum to 3"),
            ("1 2", "mask 1, character 1: byte 0x20 is not one of the 64 characters"),
            ("1p", "mask 1, character 1: byte 0x70 is not one"),
            ("1é", "mask 1, character 1: byte 0xc3 is not one"),
            ("1P", "mask 1, character 2: the string ends inside count 1"),
            ("1oooooo?", "mask 1, count 1 is 17179869183, expected 0 to 4294967295"),
            ("1oooooooo", "mask 1, character 8: count 1 does not fit in 32 bits"),
            ("1O", "mask 1, count 1 is -1, expected"),
        ],
    )
    def test_decoding_rejects_broken_counts_with_the_position_of_the_fault(self, counts, message):
        masks = [{"size": [2, 3], "counts": [6]}, {"size": [2, 3], "counts": counts}]
        with pytest.raises(MaskError, match=message):
            coco_to_labels(masks)

    @pytest.mark.parametrize("mask", [{"size": [2, 2]}, {"counts": [4]}, "1 2", 3, None])
    def test_decoding_rejects_what_is_no_mask_with_its_place(self, mask):
        with pytest.raises(MaskError, match="mask 0: expected a mapping with 'size' and 'counts'"):
            coco_to_labels([mask])

    def test_decoding_rejects_masks_of_different_sizes(self):
        masks = [{"size": [2, 2], "counts": [4]}, {"size": [1, 4], "counts": [4]}]
        with pytest.raises(MaskError, match=r"mask 1: expected size \[2, 2\], got \[1, 4\]"):
            coco_to_labels(masks)

    def test_decoding_rejects_a_size_that_is_none(self):
        with pytest.raises(MaskError, match=r"mask 0, size: expected \(height, width\), got 'ab'"):
            coco_to_labels([{"size": "ab", "counts": [4]}])

    def test_decoding_rejects_one_mask_in_place_of_a_list(self):
        with pytest.raises(MaskError, match="expected a list of masks, got a single dict"):
            coco_to_labels({"size": [2, 2], "counts": [4]})

    def test_no_mask_needs_a_shape(self):
        with pytest.raises(MaskError, match="no mask states the size of the image"):
            coco_to_labels([])
        labels, _ = coco_to_labels([], (2, 3))
        np.testing.assert_array_equal(labels, np.zeros((2, 3)))

    def test_images_beyond_32_bit_counts_are_refused_before_anything_is_allocated(self):
        with pytest.raises(MaskError, match="COCO counts have 32 bits, which 65536 x 65536 pixels exceed"):
            coco_to_labels([], (65536, 65536))

    @given(st.binary(max_size=12))
    def test_any_bytes_decode_or_are_a_mask_error(self, counts):
        try:
            labels, _ = coco_to_labels([{"size": [3, 4], "counts": counts}])
        except MaskError:
            return
        assert set(np.unique(labels)) <= {0, 1}


@pytest.mark.parametrize("encode", [labels_to_kaggle, labels_to_coco])
class TestLabelImagesAsTheyCome:
    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int32, np.int64, np.uint64, ">u4", ">i2"])
    def test_any_integer_dtype_encodes_alike(self, encode, dtype):
        labels = (some_image > 0).astype(dtype)
        assert encode(labels) == encode((some_image > 0).astype(np.uint32))

    def test_any_memory_order_encodes_alike(self, encode):
        expected = encode(some_image)
        assert encode(np.asfortranarray(some_image)) == expected
        assert encode(np.repeat(some_image, 2, axis=1)[:, ::2]) == expected
        assert encode(some_image[::-1, ::-1][::-1, ::-1]) == expected

    def test_a_read_only_image_is_encoded(self, encode):
        labels = some_image.copy()
        labels.flags.writeable = False
        assert encode(labels) == encode(some_image)

    def test_a_misaligned_image_is_encoded(self, encode):
        memory = np.zeros(some_image.nbytes + 1, np.uint8)
        labels = memory[1:].view(np.uint32).reshape(some_image.shape)
        labels[:] = some_image
        assert not labels.flags.aligned
        assert encode(labels) == encode(some_image)

    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
    def test_an_image_without_pixels_has_no_instances(self, encode, shape):
        assert encode(np.zeros(shape, np.uint32)) == {}

    @pytest.mark.parametrize("shape", [(), (4,), (2, 2, 3)])
    def test_an_image_that_is_not_two_dimensional_is_refused(self, encode, shape):
        with pytest.raises(MaskError, match=r"labels: expected a label image of shape \(H, W\), got shape"):
            encode(np.zeros(shape, np.uint32))

    @pytest.mark.parametrize("dtype", [np.float32, complex, object, str])
    def test_an_image_that_is_not_of_integers_is_refused(self, encode, dtype):
        with pytest.raises(MaskError, match="labels: expected integers, got"):
            encode(np.zeros((2, 2), dtype))

    @pytest.mark.parametrize("label", [-1, 2**32])
    def test_labels_that_do_not_fit_in_32_bits_are_refused(self, encode, label):
        with pytest.raises(MaskError, match=r"labels: expected labels of 0 to 4294967295, got"):
            encode(np.array([[0, label]]))

    @pytest.mark.parametrize("threads", [0, -1, 1025, 10**6, 2**70])
    def test_numbers_of_threads_that_cannot_be_meant_are_refused(self, encode, threads):
        with pytest.raises(SettingsError, match=f"threads: expected at least 1, at most 1024, .* got {threads}"):
            encode(some_image, threads=threads)

    def test_threads_that_are_no_number_are_refused(self, encode):
        with pytest.raises(TypeError, match="threads"):
            encode(some_image, threads="2")

    @given(labels=label_images, threads=st.integers(1, 4))
    def test_the_number_of_threads_changes_nothing(self, encode, labels, threads):
        assert encode(labels, threads=threads) == encode(labels)


class TestShapes:
    @pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
    def test_an_image_without_pixels_holds_empty_masks_only(self, shape):
        labels, report = kaggle_to_labels(["", ""], shape)
        assert labels.shape == shape
        assert report.empty == (0, 1)
        with pytest.raises(MaskError, match="run past the last pixel of the image, 0"):
            kaggle_to_labels(["1 1"], shape)

    @pytest.mark.parametrize("shape", [(2, 2, 3), (4,), 4, "22", (2.0, 2), None])
    def test_a_shape_that_is_not_height_and_width_is_refused(self, shape):
        with pytest.raises(MaskError, match=r"shape: expected \(height, width\), got"):
            kaggle_to_labels([], shape)

    def test_a_negative_shape_is_refused(self):
        with pytest.raises(MaskError, match="shape: expected a height and width of 0 or more"):
            kaggle_to_labels([], (-1, 2))

    def test_a_shape_beyond_memory_is_a_memory_error(self):
        with pytest.raises(MemoryError):
            kaggle_to_labels([], (2**40, 2**20))


class TestOneMask:
    """As pycocotools' `encode` and `decode` have it."""

    masks = hnp.arrays(np.bool_, shapes)

    @given(masks, st.sampled_from("CF"), st.sampled_from([np.bool_, np.uint8, np.int16, np.int64]))
    def test_it_is_encoded_as_pycocotools_does(self, mask, order, dtype):
        given = np.array(mask, dtype, order=order) * dtype(3)
        expected = pycocotools.encode(np.asfortranarray(mask, dtype=np.uint8))
        assert mask_to_coco(given) == {"size": list(mask.shape), "counts": expected["counts"].decode()}

    @given(masks, st.booleans())
    def test_decoding_undoes_encoding(self, mask, compressed):
        decoded = coco_to_mask(mask_to_coco(mask, compressed=compressed))
        assert decoded.dtype == np.bool_
        assert decoded.flags.f_contiguous
        assert np.array_equal(decoded, mask)

    @given(hnp.arrays(np.bool_, (70, 90)))
    def test_views_and_read_only_arrays_are_masks_too(self, mask):
        frozen = mask[::-1, ::2]
        frozen.flags.writeable = False
        for view in (frozen, mask[5:, 3:], mask.T):
            assert mask_to_coco(view) == mask_to_coco(view.copy())

    def test_a_large_one_is_shared_out_among_threads_with_the_same_result(self):
        mask = TestAnImageThatIsSharedOutAmongThreads.labels > 1
        expected = pycocotools.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
        for threads in (1, 2, 3):
            assert mask_to_coco(mask, threads=threads)["counts"] == expected
            assert mask_to_coco(np.asfortranarray(mask), threads=threads)["counts"] == expected
        assert np.array_equal(coco_to_mask({"size": mask.shape, "counts": expected}), mask)

    @pytest.mark.parametrize("counts", ["", "0", [3], [2, -1], "5\x7f", [2, 3, 2], b"n", "o" * 9])
    def test_counts_with_a_fault_are_refused_as_in_a_list_of_masks(self, counts):
        rle = {"size": [2, 3], "counts": counts}
        with pytest.raises(MaskError) as alone:
            coco_to_mask(rle)
        with pytest.raises(MaskError) as listed:
            coco_to_labels([rle])
        assert str(alone.value) == str(listed.value)

    @pytest.mark.parametrize("mask", [np.zeros(3, bool), np.zeros((2, 2)), np.zeros((2, 2, 1), bool), [["a"]]])
    def test_what_is_no_mask_is_refused(self, mask):
        with pytest.raises(MaskError, match=r"mask: expected an array \(H, W\) of bool or integers, got \("):
            mask_to_coco(mask)


class TestMasksThatOnlyLookAlike:
    """Long lists of plain masks are read another way, which must refuse what the careful way does."""

    sound: ClassVar[dict[str, Any]] = {"size": [2, 3], "counts": [2, 3, 1]}

    def test_a_mapping_that_makes_up_what_is_missing_is_refused_and_stays_as_it_is(self):
        mask = defaultdict(list, counts=[2, 3, 1])
        with pytest.raises(MaskError, match="mask 1: expected a mapping with 'size' and 'counts'"):
            rle_areas([self.sound, mask])
        assert mask == {"counts": [2, 3, 1]}

    @pytest.mark.parametrize("counts", ["\ud800", "2\ud800"])
    @pytest.mark.parametrize("function", [rle_areas, rle_boxes, coco_to_labels, lambda masks: coco_to_mask(masks[0])])
    def test_text_that_no_encoding_can_hold_is_refused(self, function, counts):
        with pytest.raises(MaskError, match="mask 0"):
            function([{"size": [2, 3], "counts": counts}])

    @pytest.mark.parametrize("function", [rle_areas, coco_to_labels, lambda masks: coco_to_mask(masks[0])])
    def test_a_size_beyond_64_bits_is_refused(self, function):
        with pytest.raises(MaskError, match=r"2\*\*63|exceed"):
            function([{"size": [2**70, 1], "counts": "1"}])
