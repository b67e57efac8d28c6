"""Label images smoothed and rings simplified, against what they are by definition."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import simplify_ring, smooth_labels
from numpy.typing import NDArray
from scipy import ndimage

shapes = st.tuples(st.integers(0, 12), st.integers(0, 12))
label_images = shapes.flatmap(
    lambda shape: hnp.arrays(np.uint32, shape, elements=st.sampled_from([0, 1, 2, 2**32 - 1]))
)


def voted(labels: NDArray[np.uint32], radius: int) -> NDArray[np.uint32]:
    smoothed = np.zeros_like(labels)
    for row, column in np.ndindex(labels.shape):
        near = labels[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1]
        values, counts = np.unique(near, return_counts=True)
        most = values[counts == counts.max()]
        own = labels[row, column]
        smoothed[row, column] = own if own in most else most[0]
    return smoothed


@given(label_images, st.integers(0, 4))
def test_each_pixel_gets_the_label_that_most_around_it_have(labels, radius):
    np.testing.assert_array_equal(smooth_labels(labels, radius), voted(labels, radius))


@given(label_images, st.integers(0, 4), st.integers(1, 4))
def test_the_number_of_threads_changes_nothing(labels, radius, threads):
    np.testing.assert_array_equal(smooth_labels(labels, radius, threads=threads), smooth_labels(labels, radius))


def test_a_single_nucleus_is_smoothed_as_by_the_median_filter():
    mask = np.random.default_rng(0).random((60, 80)) < 0.5
    inside = (slice(2, -2), slice(2, -2))  # SciPy has votes of pixels beside the image
    np.testing.assert_array_equal(smooth_labels(mask, 2)[inside], ndimage.median_filter(mask, 5)[inside])


@pytest.mark.parametrize(("radius", "message"), [(-1, "0 to 64 pixels, got -1"), (65, "got 65"), (1.5, "whole number")])
def test_a_radius_that_is_none_is_refused(radius, message):
    with pytest.raises(SettingsError, match=message):
        smooth_labels(np.zeros((2, 2), int), radius)


def rings_of(labels: NDArray[np.uint32]) -> list[NDArray[np.int32]]:
    return [ring for outline in _core.contours(labels) for polygon in outline for ring in polygon]


def distance_to_segment(point: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    along = end - start
    share = np.clip(np.dot(point - start, along) / np.dot(along, along), 0, 1)
    return float(np.linalg.norm(point - start - share * along))


def meet(a: NDArray[np.int64], b: NDArray[np.int64], c: NDArray[np.int64], d: NDArray[np.int64]) -> bool:
    """Whether two segments have a point in common."""

    def side(p: NDArray[np.int64], q: NDArray[np.int64], r: NDArray[np.int64]) -> int:
        return int(np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])))

    sides = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    boxes = np.maximum(np.minimum(a, b), np.minimum(c, d)) <= np.minimum(np.maximum(a, b), np.maximum(c, d))
    return sides[0] * sides[1] <= 0 and sides[2] * sides[3] <= 0 and bool(boxes.all())


blobs = shapes.flatmap(lambda shape: hnp.arrays(np.uint32, shape, elements=st.integers(0, 1)))
tolerances = st.sampled_from([0.0, 0.5, 0.75, 1.0, 2.0, 5.0, 100.0, np.inf])


@settings(max_examples=60)
@given(blobs, tolerances)
def test_vertices_left_out_are_within_the_tolerance_of_their_edge(labels, tolerance):
    for ring in rings_of(labels):
        simplified = simplify_ring(ring, tolerance)
        # Vertices of a ring are all different but for the last, so that each is found again.
        places = [int(np.flatnonzero((ring == vertex).all(1))[0]) for vertex in simplified[:-1]] + [len(ring) - 1]
        assert places == sorted(places)
        assert places[0] == 0
        for start, end in pairwise(places):
            for vertex in ring[start + 1 : end].astype(float):
                assert distance_to_segment(vertex, ring[start].astype(float), ring[end].astype(float)) <= tolerance


@settings(max_examples=60)
@given(blobs, tolerances)
def test_a_simplified_ring_is_closed_and_touches_itself_nowhere(labels, tolerance):
    for ring in rings_of(labels):
        simplified = simplify_ring(ring, tolerance).astype(np.int64)
        assert simplified[0].tolist() == simplified[-1].tolist()
        edges = list(pairwise(simplified))
        assert len(edges) >= 3
        for (one, (a, b)), (other, (c, d)) in combinations(enumerate(edges), 2):
            if other - one not in (1, len(edges) - 1):
                assert not meet(a, b, c, d)


def test_no_tolerance_keeps_a_ring_with_a_turn_at_every_vertex():
    [ring] = rings_of(np.array([[1, 1, 1], [0, 1, 0]], np.uint32))
    np.testing.assert_array_equal(simplify_ring(ring, 0), ring)


def test_a_comb_is_not_simplified_into_one_that_crosses_itself():
    comb = np.zeros((9, 41), np.uint32)
    comb[0] = 1
    comb[:, ::2] = 1
    [ring] = rings_of(comb)
    simplified = simplify_ring(ring, 1.0).astype(np.int64)
    edges = list(pairwise(simplified))
    for (one, (a, b)), (other, (c, d)) in combinations(enumerate(edges), 2):
        assert other - one in (1, len(edges) - 1) or not meet(a, b, c, d)


@pytest.mark.parametrize(
    ("ring", "message"),
    [
        ([[0, 0], [1, 0], [1, 1], [0, 1]], "the last one equal to the first, got an open ring"),
        ([[0, 0], [1, 0], [0, 0]], "at least 4 vertices, .* got 3 vertices"),
        ([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]], "no edge to cross or touch another"),
        ([[1, 1], [1, 1], [1, 1], [1, 1]], "no edge to cross or touch another"),
        ([[0, 0, 0]], r"shape \(K, 2\), got shape \(1, 3\)"),
        (np.zeros((0, 2), int), "got 0 vertices"),
        ([[0.5, 0.0]], "expected integers, got float64"),
        ([[0, 2**31]], "expected -2147483648 to 2147483647"),
    ],
)
def test_what_is_no_simple_closed_ring_is_refused(ring, message):
    with pytest.raises(MaskError, match=message):
        simplify_ring(ring, 0)


@pytest.mark.parametrize("tolerance", [-1.0, np.nan])
def test_a_negative_tolerance_is_refused(tolerance):
    with pytest.raises(SettingsError, match="tolerance: expected 0 or more pixels"):
        simplify_ring([[0, 0], [1, 0], [1, 1], [0, 0]], tolerance)


def test_coordinates_at_the_ends_of_32_bits_do_not_overflow():
    low, high = -(2**31), 2**31 - 1
    square = [[low, low], [high, low], [high, high], [low, high], [low, low]]
    assert simplify_ring(square, 1.0).tolist() == square
