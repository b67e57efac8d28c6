"""Targets are the inverse of grouping."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet.inference.grouping import group
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import nuclei_of, quantise, targets
from numpy.typing import NDArray
from scipy import ndimage

EXACT = GroupConfig(centre_sigma=0, merge_distance=0, min_area=0, min_score=0, min_peak=0)
Disc = tuple[int, int, int]


def draw(shape: tuple[int, int], discs: list[Disc], window: int) -> NDArray[np.uint32]:
    """Draw those discs that overlap none before and whose centres lie further than the window from any other."""
    labels = np.zeros(shape, np.uint32)
    rows, columns = np.indices(shape)
    for row, column, radius in discs:
        disc = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
        if disc.any() and not labels[disc].any():
            labels[disc] = labels.max() + 1
            centres = nuclei_of(labels).centres[1:]
            distance = abs(centres[:, None] - centres[None]).max(axis=-1)
            if (distance[~np.eye(len(centres), dtype=bool)] <= window).any():
                labels[disc] = 0
    return labels


def renumbered(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Number by raster order of each nucleus's first pixel."""
    numbers = {0: 0}
    for label in labels.ravel().tolist():
        numbers.setdefault(label, len(numbers))
    return np.vectorize(numbers.__getitem__, otypes=[np.uint32])(labels)


@settings(max_examples=60, deadline=None)
@given(
    discs=st.lists(st.tuples(st.integers(-3, 66), st.integers(-3, 82), st.integers(0, 20)), max_size=25),
    window=st.integers(1, 5),
)
def test_grouping_the_targets_gives_back_the_labels(discs: list[Disc], window: int) -> None:
    labels = draw((64, 80), discs, window)
    foreground, heat, offset, _ = targets(labels)
    config = GroupConfig(**{**EXACT.to_json(), "window": window})
    np.testing.assert_array_equal(group(quantise(foreground, heat, offset), config).labels, renumbered(labels))


def test_the_centre_is_the_pixel_nearest_the_centroid() -> None:
    labels = draw((64, 80), [(20, 20, 12), (40, 50, 9), (5, 70, 8)], 3)
    nuclei = nuclei_of(labels)
    for label, centre in enumerate(nuclei.centres[1:], start=1):
        pixels = np.argwhere(labels == label)
        centroid = ndimage.center_of_mass(labels == label)
        np.testing.assert_array_equal(centre, pixels[((pixels - centroid) ** 2).sum(axis=1).argmin()])
        assert nuclei.diameters[label] == pytest.approx(2 * np.sqrt(len(pixels) / np.pi))


def test_the_centre_of_a_crescent_lies_on_it() -> None:
    rows, columns = np.indices((40, 40))
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 <= 15**2
    bite = (rows - 20) ** 2 + (columns - 26) ** 2 <= 14**2
    labels = (disc & ~bite).astype(np.uint32)
    centroid = tuple(round(place) for place in ndimage.center_of_mass(labels))
    assert labels[centroid] == 0
    assert labels[tuple(nuclei_of(labels).centres[1].astype(int))] == 1


def test_of_pixels_equally_near_the_first_is_the_centre() -> None:
    assert nuclei_of(np.ones((2, 2), np.uint8)).centres[1].tolist() == [0, 0]


def test_a_label_that_is_absent_has_no_centre() -> None:
    nuclei = nuclei_of(np.array([[0, 3]], np.uint32))
    assert np.isnan(nuclei.centres[[0, 1, 2]]).all()
    assert nuclei.diameters[:3].tolist() == [0, 0, 0]


def test_targets_say_nothing_of_background() -> None:
    labels = draw((64, 80), [(20, 20, 12)], 3)
    for each in targets(labels):
        assert each.dtype == np.float32
        assert (each[..., labels == 0] == 0).all()


def test_offsets_lead_to_the_centre_where_heat_is_one() -> None:
    labels = draw((64, 80), [(20, 20, 12), (40, 50, 9)], 3)
    rows, columns = np.nonzero(labels)
    _, heat, offset, diameter = targets(labels)
    centres = nuclei_of(labels)
    np.testing.assert_array_equal(
        offset[:, rows, columns].T + np.argwhere(labels), centres.centres[labels[rows, columns]]
    )
    assert np.argwhere(heat == 1).tolist() == centres.centres[1:].tolist()
    np.testing.assert_array_equal(diameter[rows, columns], centres.diameters[labels[rows, columns]])


def test_an_image_without_nuclei_has_empty_targets() -> None:
    for shape in (0, 0), (5, 7):
        foreground, heat, offset, diameter = targets(np.zeros(shape, np.uint32))
        assert foreground.shape == heat.shape == diameter.shape == shape
        assert not offset.any()


def test_centres_known_from_the_whole_serve_a_cut_out() -> None:
    labels = draw((64, 80), [(20, 20, 12), (40, 50, 9)], 3)
    nuclei = nuclei_of(labels)
    shifted = nuclei._replace(centres=nuclei.centres - np.float32([15, 10]))
    whole, part = targets(labels), targets(labels[15:, 10:], shifted)
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[..., 15:, 10:], b)


def test_maps_are_stored_as_bytes_and_half_pixels() -> None:
    foreground, heat = np.float32([[0, 1, 0.5]]), np.float32([[1, 0.25, 0]])
    offset = np.float32([[[0, -64, 63.5]], [[0.5, -100, 100]]])
    assert quantise(foreground, heat, offset).tolist() == [[[0, 255, 128, 129], [255, 64, 0, 0], [128, 0, 255, 255]]]
