"""Tiles blended, against their definition in NumPy."""

import numpy as np
import pytest
from helpers.oracles import blended
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import MaskError
from nucleus_unet.masks import blend_tiles

layouts = st.tuples(
    st.integers(0, 4), st.integers(0, 5), st.integers(0, 5), st.integers(1, 3), st.integers(0, 70), st.integers(0, 9)
)


@given(layouts, st.integers(0, 2**32), st.sampled_from([None, 1, 2]))
def test_each_pixel_is_the_weighted_mean_of_the_tiles_on_it(layout, seed, threads):
    count, height, width, channels, rows, columns = layout
    rng = np.random.default_rng(seed)
    tiles = rng.normal(size=(count, height, width, channels)).astype(np.float32)
    corners = rng.integers(-6, 70, (count, 2))
    weights = rng.integers(0, 4, (height, width)).astype(np.float32)
    blend = blend_tiles(tiles, corners, (rows, columns), weights=weights, threads=threads)
    assert blend.dtype == np.float32
    np.testing.assert_array_equal(blend, blended(tiles, corners, (rows, columns), weights))


@given(hnp.arrays(np.float32, (8, 9), elements=st.floats(-5, 5, width=32)))
def test_tiles_cut_from_an_image_blend_to_that_image(image):
    corners = [(row, column) for row in (0, 2, 4) for column in (0, 3, 5)]
    tiles = [image[row : row + 4, column : column + 4] for row, column in corners]
    np.testing.assert_allclose(blend_tiles(tiles, corners, image.shape), image, rtol=1e-6)


def test_a_value_under_no_weight_does_not_matter_be_it_infinite():
    assert blend_tiles([[[np.inf, 3.0]]], [[0, 0]], (1, 2), weights=[[0, 1]]).tolist()[0][1] == 3.0


def test_corners_far_outside_are_left_out():
    blend = blend_tiles(np.ones((2, 2, 2)), [[2**62, 0], [-(2**63), 0]], (2, 2))
    assert np.isnan(blend).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corners": [[0, 0], [1, 1]]}, "corners: expected one for each of 1 tiles, got 2"),
        ({"corners": [[0.5, 0]]}, "corners: expected integers"),
        ({"corners": [[0, 0, 0]]}, r"corners: expected integers of shape \(N, 2\)"),
        ({"weights": [[1.0]]}, r"weights: expected the shape of a tile \(2, 3\), got \(1, 1\)"),
        ({"weights": [[1, 1, 1], [1, -1, 1]]}, "weights: .* got -1 at row 1, column 1"),
        ({"weights": [[np.nan] * 3] * 2}, "weights: .* got NaN at row 0, column 0"),
        ({"tiles": np.ones((2, 3))}, r"tiles: expected real numbers of shape \(N, h, w\)"),
        ({"tiles": np.ones((1, 2, 3), complex)}, "tiles: expected real numbers"),
        ({"shape": (2,)}, "shape: expected"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    fitting = {"tiles": np.ones((1, 2, 3)), "corners": [[0, 0]], "shape": (4, 4)}
    with pytest.raises(MaskError, match=message):
        blend_tiles(**fitting | arguments)
