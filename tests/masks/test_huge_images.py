"""Images of more than 2^31 pixels, in sparse files: right results or clear errors, never numbers that went round.

Most map some 20 GB of memory, though they touch little of it, so they run only where `NUCLEUS_HUGE` is set.
`make test-all` sets it.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from nucleus_unet import _core, masks
from nucleus_unet.errors import MaskError
from numpy.typing import NDArray

WANTED = pytest.mark.skipif("NUCLEUS_HUGE" not in os.environ, reason="maps 20 GB of memory: set NUCLEUS_HUGE to run it")

SHAPE = (2**16 + 8, 2**15)
"""2^31 pixels and eight rows more."""

CORNER = (slice(-3, None), slice(-5, None))
"""Three rows of five pixels in the last corner, beyond the 2^31st pixel in either order."""


def sparse(path: Path, dtype: type, shape: tuple[int, int] = SHAPE) -> NDArray[np.generic]:
    """An image of zeros that takes no room on the disk."""
    return np.memmap(path / "image", dtype, "w+", shape=shape)


@pytest.mark.heavy
@WANTED
def test_run_lengths_beyond_2_31_pixels_come_back(tmp_path):
    labels = sparse(tmp_path, np.uint8)
    labels[CORNER] = 1
    height, pixels = SHAPE[0], labels.size
    starts = [pixels - column * height - 2 for column in reversed(range(5))]
    assert masks.labels_to_kaggle(labels) == {1: " ".join(f"{start} 3" for start in starts)}
    (rle,) = masks.labels_to_coco(labels).values()
    assert masks.rle_areas([rle]).tolist() == [15]
    assert masks.rle_boxes([rle]).tolist() == [[SHAPE[0] - 3, SHAPE[1] - 5, *SHAPE]]
    decoded, _ = masks.coco_to_labels([rle])
    assert decoded[CORNER].all()
    assert np.count_nonzero(decoded[-4]) == 0


@pytest.mark.heavy
@WANTED
def test_components_and_measurements_beyond_2_31_pixels_lie_where_they_are(tmp_path):
    image = sparse(tmp_path, np.uint8)
    image[0, 0] = 1
    image[CORNER] = 1
    labels = masks.label(image)
    assert labels[0, 0] == 1
    assert (labels[CORNER] == 2).all()
    _, areas, boxes, *_ = _core.measure(labels)
    assert areas.tolist() == [1, 15]
    assert boxes.tolist() == [[0, 0, 1, 1], [SHAPE[0] - 3, SHAPE[1] - 5, *SHAPE]]
    outlines = _core.contours(labels)
    assert outlines[1][0][0].max(axis=0).tolist() == [SHAPE[1], SHAPE[0]]
    table = masks.overlap_table(labels, labels)
    assert table.pixels.tolist() == [1, 15]


@pytest.mark.heavy
@WANTED
def test_what_32_bits_cannot_number_is_refused(tmp_path):
    pixels = sparse(tmp_path, np.uint8, (2**16, 2**16))
    with pytest.raises(MaskError, match=r"at most 2\^32 - 1 pixels"):
        masks.label(pixels)
    with pytest.raises(MaskError, match="COCO counts have 32 bits"):
        masks.labels_to_coco(pixels)
    markers = np.broadcast_to(np.zeros((1, 1), np.uint32), pixels.shape)
    with pytest.raises(MaskError, match=r"less than 2\^32 pixels"):
        _core.watershed(pixels, markers, connectivity=1)


def test_a_row_of_more_than_32_bits_is_refused_before_it_is_read():
    row = np.broadcast_to(np.zeros((1, 1), np.uint32), (1, 2**32))
    with pytest.raises(MaskError, match=r"at most 2\^32 - 1 columns"):
        _core.measure(row)
    with pytest.raises(MaskError, match=r"at most 2\^31 - 1 pixels a side"):
        _core.contours(row)


def test_distances_that_single_precision_cannot_hold_are_refused_before_they_are_found():
    row = np.broadcast_to(np.zeros((1, 1), np.uint8), (1, 2**24 + 1))
    with pytest.raises(MaskError, match=r"at most 2\^24 pixels a side"):
        _core.distance(row)
