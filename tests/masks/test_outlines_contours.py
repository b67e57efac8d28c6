"""Outlines against their law: rasterising them gives the label image back."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.oracles import rasterised
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.uint32]
Ring = NDArray[np.int32]

shapes = st.tuples(st.integers(0, 16), st.integers(0, 16))
label_images = st.tuples(shapes, st.integers(1, 3)).flatmap(
    lambda drawn: arrays(np.uint32, drawn[0], elements=st.integers(0, drawn[1]))
)


def signed_area(ring: Ring) -> float:
    x, y = ring.T.astype(float)
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def passed_corners(ring: Ring) -> list[tuple[int, int]]:
    """Corners of pixels along a ring, once for each time it comes by."""
    corners = []
    for start, end in pairwise(ring):
        steps = int(abs(end - start).sum())
        corners += [tuple((start + (end - start) * step // steps).tolist()) for step in range(steps)]
    return corners


@settings(max_examples=400, deadline=None)
@given(label_images)
def test_rasterising_the_outlines_gives_the_labels_back(labels: Labels) -> None:
    painted = np.zeros_like(labels)
    values = np.unique(labels[labels > 0])
    for value, polygons in zip(values, _core.contours(labels), strict=True):
        for polygon in polygons:
            inside = rasterised(polygon, labels.shape)
            assert not painted[inside].any()
            painted[inside] = value
    np.testing.assert_array_equal(painted, labels)


@settings(max_examples=300, deadline=None)
@given(label_images)
def test_every_piece_is_one_polygon_of_simple_rings(labels: Labels) -> None:
    values = np.unique(labels[labels > 0])
    for value, polygons in zip(values, _core.contours(labels), strict=True):
        pieces, count = ndimage.label(labels == value)
        assert len(polygons) == count
        # scipy numbers pieces by their first pixels.
        for piece, polygon in enumerate(polygons, 1):
            np.testing.assert_array_equal(rasterised(polygon, labels.shape), pieces == piece)
            for ring in polygon:
                assert (ring.dtype, ring[0].tolist()) == (np.int32, ring[-1].tolist())
                corners = passed_corners(ring)
                assert len(set(corners)) == len(corners)
                directions = np.sign(np.diff(np.concatenate([ring, ring[1:2]]), axis=0))
                assert (directions[1:] * directions[:-1]).sum() == 0, "a vertex without a turn"
            assert [signed_area(ring) > 0 for ring in polygon] == [True] + [False] * (len(polygon) - 1)


def test_one_nucleus_with_a_hole_is_an_exterior_and_a_hole() -> None:
    labels = np.full((3, 3), 5, np.uint32)
    labels[1, 1] = 0
    [[[exterior, hole]]] = _core.contours(labels)
    assert exterior.tolist() == [[3, 0], [3, 3], [0, 3], [0, 0], [3, 0]]
    assert (signed_area(exterior), signed_area(hole)) == (9, -1)


def test_arrays_that_are_not_contiguous_give_the_same_result() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (20, 30), np.uint32)
    assert str(_core.contours(np.asfortranarray(labels))) == str(_core.contours(labels))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.zeros((3, 4), np.int32),
            r"labels: expected an array \(H, W\) of uint32, got .* of int32",
        ),
        (np.zeros((3, 4), ">u4"), "labels: expected .* of >u4"),
        (np.zeros(3, np.uint32), r"labels: expected .* got shape \[3\] of uint32"),
        ("labels", "labels: expected .* got str"),
    ],
)
def test_what_is_not_a_label_image_is_refused_with_what_came(labels: object, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        _core.contours(labels)  # type: ignore[arg-type]
