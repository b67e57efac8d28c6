"""Textures: what is known of simple patterns."""

import numpy as np
import pytest
from nucleus_unet import _core
from nucleus_unet.measures.textures import measure_textures


def textures(pixels: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    present, _, boxes, _, _ = _core.measure(labels)
    found = measure_textures("x", pixels.astype(np.float32), labels, present, boxes)
    return {name.removeprefix("nucleus_x_texture_"): values for name, values in found.items()}


def test_a_flat_nucleus_has_no_contrast() -> None:
    found = textures(np.full((6, 6), 7.0), np.ones((6, 6), np.uint32))
    assert (found["contrast"], found["homogeneity"], found["energy"]) == (0, 1, 1)


def test_a_checkerboard_has_contrast_along_rows_and_none_along_diagonals() -> None:
    board = np.indices((8, 8)).sum(axis=0) % 2
    found = textures(board, np.ones((8, 8), np.uint32))
    assert found["contrast"] == pytest.approx((15**2 + 0 + 15**2 + 0) / 4)


def test_pixels_outside_of_the_nucleus_do_not_count() -> None:
    labels = np.zeros((9, 9), np.uint32)
    labels[2:7, 2:7] = 1
    labels[3, 2] = 0
    pixels = np.random.default_rng(0).random((9, 9))
    changed = np.where(labels > 0, pixels, 55)
    assert textures(pixels, labels) == textures(changed, labels)


def test_a_nucleus_of_one_pixel_has_no_texture() -> None:
    found = textures(np.ones((1, 1)), np.ones((1, 1), np.uint32))
    assert all(np.isnan(values).all() for values in found.values())
