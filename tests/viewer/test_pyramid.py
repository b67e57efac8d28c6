from __future__ import annotations

import numpy as np
import pytest
from nucleus_unet.io.source import open_image
from nucleus_unet.viewer.pyramid import Pyramid, Thumbnail, level_shape
from numpy.typing import NDArray

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 4000, (1301, 999), dtype=np.uint16)


def mean_of_squares(image: NDArray[np.uint16], side: int) -> NDArray[np.float64]:
    """By repeating the last row and column until squares are whole."""
    down, across = (-size % side for size in image.shape)
    whole = np.pad(image, [(0, down), (0, across)], mode="edge").astype(float)
    return np.array([[whole[r : r + side, c : c + side].mean() for c in range(0, whole.shape[1], side)]
                     for r in range(0, whole.shape[0], side)])  # fmt: skip


@pytest.mark.parametrize("level", [1, 2])
def test_an_image_without_levels_is_averaged(level: int) -> None:
    pyramid = Pyramid([open_image(IMAGE).plane()], average=True)
    height, width = level_shape(IMAGE.shape, level)
    read = pyramid.read(level, slice(0, height), slice(0, width))
    np.testing.assert_allclose(read, mean_of_squares(IMAGE, 2**level), rtol=1e-5)


def test_labels_are_never_mixed() -> None:
    labels = RNG.integers(0, 9, (1301, 999)).astype(np.uint32) * 1000
    pyramid = Pyramid([open_image(labels, axes="YX", indices=True).plane()], average=False)
    read = pyramid.read(2, slice(3, 300), slice(7, 250))
    np.testing.assert_array_equal(read, labels[::4, ::4][3:300, 7:250])


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    planes = [
        open_image(np.full((size, size), value, np.uint8)).plane() for size, value in ((2048, 1), (512, 2), (64, 3))
    ]
    pyramid = Pyramid(planes, average=True)
    values = [np.unique(pyramid.read(level, slice(0, 8), slice(0, 8))).tolist() for level in range(3)]
    assert (pyramid.levels, values) == (3, [[1.0], [1.0], [2.0]])


def test_levels_that_are_no_powers_of_two_are_sampled() -> None:
    planes = [open_image(np.full((size, size), value, np.uint8)).plane() for size, value in ((3000, 1), (1000, 2))]
    assert np.unique(Pyramid(planes, average=True).read(2, slice(0, 750), slice(0, 750))).tolist() == [2]


def test_a_thumbnail_stands_in_where_much_would_have_to_be_read() -> None:
    large = open_image(np.zeros((20_000, 20_000), np.uint8)).plane()
    thumbnail = Thumbnail(np.arange(100 * 100, dtype=np.float32).reshape(100, 100), 200)
    pyramid = Pyramid([large], average=True, thumbnail=thumbnail)
    assert pyramid.read(3, slice(0, 4), slice(0, 4)).max() == 0
    coarse = pyramid.read(5, slice(0, 625), slice(0, 625))
    assert (coarse[0, 0], coarse[-1, -1]) == (0, 9999)
