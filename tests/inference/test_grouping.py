"""Grouping against a slow reading of its contract, and the law that it inverts the targets."""

import itertools
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from helpers.grouping import (
    EVERYWHERE,
    Maps,
    Options,
    assert_same,
    centre_of,
    exact_targets,
    group,
    group_by_definition,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.model.group_config import GroupConfig
from numpy.typing import NDArray
from scipy import ndimage

# The contract, read slowly ------------------------------------------------------------------------------


# Random maps --------------------------------------------------------------------------------------------


@st.composite
def random_maps(draw: st.DrawFn) -> Maps:
    """Maps of few levels, so that ties and plateaus are common, over noise of every kind."""
    rows, columns = draw(st.integers(1, 16)), draw(st.integers(1, 16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([[0, 255], [0, 128, 255], [100, 101, 102], list(range(256))]))
    spread = draw(st.sampled_from([1, 4, 12, 128]))
    return np.stack(
        [
            rng.choice([0, 127, 128, 255], (rows, columns), p=[0.05, 0.05, 0.3, 0.6]),
            rng.choice(levels, (rows, columns)),
            rng.integers(128 - spread, 128 + spread, (rows, columns)),
            rng.integers(128 - spread, 128 + spread, (rows, columns)),
        ],
        axis=-1,
    ).astype(np.uint8)


@st.composite
def blobby_maps(draw: st.DrawFn) -> Maps:
    """Offsets that agree over regions, some of them rings, so that pieces, holes and nesting happen."""
    rows, columns = draw(st.integers(3, 20)), draw(st.integers(3, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.integers(0, [rows, columns], (draw(st.integers(1, 5)), 2))
    r, c = np.mgrid[:rows, :columns]
    choice = np.full((rows, columns), -1)
    for _ in range(draw(st.integers(1, 8))):
        r0, c0 = rng.integers(0, [rows, columns])
        distance = np.maximum(abs(r - r0), abs(c - c0))
        outer = rng.integers(1, 10)
        choice[(distance <= outer) & (distance >= rng.integers(0, outer + 1))] = rng.integers(-1, len(centres))
    maps = np.zeros((rows, columns, 4), np.uint8)
    maps[..., 0] = np.where(choice >= 0, rng.choice([200, 255], choice.shape), 30)
    maps[(*tuple(centres.T), 1)] = rng.choice([200, 255], len(centres))
    maps[..., 2] = 128 + 2 * (centres[choice, 0] - r)
    maps[..., 3] = 128 + 2 * (centres[choice, 1] - c)
    return maps


random_options = st.builds(
    Options,
    foreground_threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    centre_threshold=st.sampled_from([0.0, 0.3, 0.4, 1.0]),
    centre_sigma=st.sampled_from([0.0, 0.0, 0.4, 1.0, 2.5]),
    window=st.integers(1, 4),
    merge_distance=st.sampled_from([0.0, 1.0, 2.5, 5.0, 9.0]),
    merge_dip=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    assignment_radius=st.sampled_from([0.0, 0.5, 1.0, 2.5, 12.0]),
    max_offset=st.sampled_from([0, 1, 5, 64]),
    min_area=st.integers(0, 6),
    min_score=st.sampled_from([0.0, 0.6, 0.8]),
    min_peak=st.sampled_from([0.0, 0.5, 1.0]),
)


@settings(max_examples=400, deadline=None)
@given(random_maps(), random_options)
def test_noise_is_grouped_as_the_contract_says(maps: Maps, options: Options) -> None:
    assert_same(group(maps, options), group_by_definition(maps, options))


@settings(max_examples=400, deadline=None)
@given(blobby_maps(), st.sampled_from([0.0, 1.0]), st.integers(0, 12))
def test_pieces_holes_and_nested_rings_are_cleaned_as_the_contract_says(
    maps: Maps, assignment_radius: float, area: int
) -> None:
    options = Options(assignment_radius=assignment_radius, window=1, min_area=area)
    assert_same(group(maps, options), group_by_definition(maps, options))


@settings(max_examples=100, deadline=None)
@given(blobby_maps() | random_maps(), random_options)
def test_the_number_of_threads_changes_nothing(maps: Maps, options: Options) -> None:
    one = group(maps, options, threads=1)
    assert_same(group(maps, options, threads=3), one)
    assert_same(group(maps, options), one)


@settings(max_examples=200, deadline=None)
@given(random_maps() | blobby_maps(), random_options, st.integers(0, 255))
def test_the_offsets_of_the_background_are_never_looked_at(maps: Maps, options: Options, byte: int) -> None:
    options = replace(options, foreground_threshold=byte / 255)
    kept = maps.copy()
    kept[maps[..., 0] < GroupConfig(**asdict(options)).least_foreground, 2:] = 0
    assert_same(group(kept, options), group(maps, options))


# The law ------------------------------------------------------------------------------------------------


def renumbered(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    values, first = np.unique(labels[labels > 0], return_index=True)
    numbers = np.zeros(int(labels.max(initial=0)) + 1, np.uint32)
    numbers[values[np.argsort(first)]] = np.arange(1, len(values) + 1)
    return numbers[labels]


def solid(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask is one piece without holes."""
    _, parts = ndimage.label(~np.pad(mask, 1), EVERYWHERE)
    return bool(ndimage.label(mask)[1] == 1 and parts == 1)


@st.composite
def solid_nuclei(draw: st.DrawFn) -> NDArray[np.uint32]:
    """Touching and free nuclei of the law's kind: what is not is painted over with background."""
    rows, columns = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    r, c = np.mgrid[:rows, :columns]
    labels = np.zeros((rows, columns), np.uint32)
    for label in rng.permutation(draw(st.integers(0, 12))) + 1:
        r0, c0 = rng.uniform(0, [rows, columns])
        angle, (a, b) = rng.uniform(0, np.pi), rng.uniform(0.5, 12, 2)
        along = (r - r0) * np.cos(angle) + (c - c0) * np.sin(angle)
        beside = (c - c0) * np.cos(angle) - (r - r0) * np.sin(angle)
        labels[(along / a) ** 2 + (beside / b) ** 2 <= 1] = label
    for label in np.unique(labels[labels > 0]):
        if not solid(labels == label):
            labels[labels == label] = 0
    # Erasing may not open another nucleus, but two centres may share a window: the later one goes.
    kept: list[tuple[int, int]] = []
    for label in np.unique(labels[labels > 0]):
        centre = centre_of(labels == label)
        if all(max(abs(centre[0] - r), abs(centre[1] - c)) > Options.window for r, c in kept):
            kept.append(centre)
        else:
            labels[labels == label] = 0
    return labels


@settings(max_examples=200, deadline=None)
@given(solid_nuclei())
def test_grouping_inverts_exact_targets(labels: NDArray[np.uint32]) -> None:
    found, centres, scores, peaks = group(exact_targets(labels), Options(centre_threshold=1.0))
    np.testing.assert_array_equal(found, renumbered(labels))
    assert (scores == 1).all()
    assert (peaks == 1).all()
    assert [tuple(centre) for centre in centres] == [centre_of(found == i + 1) for i in range(len(centres))]


@settings(max_examples=60, deadline=None)
@given(blobby_maps() | random_maps(), random_options, st.integers(0, 2**32))
def test_a_block_with_its_margin_decides_its_nuclei_as_the_whole_image_does(
    maps: Maps, options: Options, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    options = replace(
        options, max_offset=min(options.max_offset, 3), assignment_radius=min(options.assignment_radius, 1.0), window=1
    )
    maps = (
        np.pad(maps, [(rng.integers(0, 40), rng.integers(0, 40)) for _ in range(2)] + [(0, 0)], mode="reflect")
        if min(maps.shape[:2]) > 1
        else maps
    )
    margin = _core.group_margin(
        centre_sigma=options.centre_sigma,
        window=options.window,
        merge_distance=options.merge_distance,
        assignment_radius=options.assignment_radius,
        max_offset=options.max_offset,
    )
    labels, centres, scores, _ = group(maps, options)
    r0, c0 = (int(rng.integers(0, side)) for side in maps.shape[:2])
    r1, c1 = (int(rng.integers(low, side)) + 1 for low, side in zip((r0, c0), maps.shape[:2], strict=True))
    top, left = max(0, r0 - margin), max(0, c0 - margin)
    block = group(np.ascontiguousarray(maps[top : r1 + margin, left : c1 + margin]), options)

    def inside(places: NDArray[np.int64]) -> NDArray[np.intp]:
        return np.flatnonzero(((places >= (r0, c0)) & (places < (r1, c1))).all(1))

    def keyed(
        labels: NDArray[np.uint32],
        centres: NDArray[np.int64],
        scores: NDArray[np.float32],
        corner: tuple[int, int],
    ) -> dict[tuple[int, ...], tuple[float, set[tuple[int, ...]]]]:
        return {
            tuple(centres[i].tolist()): (
                float(scores[i]),
                {tuple(pixel) for pixel in (np.argwhere(labels == i + 1) + corner).tolist()},
            )
            for i in inside(centres)
        }

    assert keyed(block[0], block[1] + (top, left), block[2], (top, left)) == keyed(labels, centres, scores, (0, 0))


# Single rules -------------------------------------------------------------------------------------------


def flat(rows: int, columns: int) -> Maps:
    """All foreground, no heat, no offsets."""
    maps = np.full((rows, columns, 4), 128, np.uint8)
    maps[..., 0] = 255
    maps[..., 1] = 0
    return maps


@pytest.mark.parametrize("shape", [(0, 0), (0, 7), (5, 0)])
def test_images_without_pixels_have_no_nuclei(shape: tuple[int, int]) -> None:
    labels, centres, scores, peaks = group(np.zeros((*shape, 4), np.uint8), Options())
    assert labels.shape == shape
    assert centres.shape == (0, 2)
    assert len(scores) == len(peaks) == 0


def test_one_hot_pixel_is_a_nucleus() -> None:
    maps = flat(1, 1)
    maps[..., 1] = 255
    labels, centres, scores, peaks = group(maps, Options(centre_sigma=1.0))
    assert (labels.tolist(), centres.tolist(), scores.tolist(), peaks.tolist()) == (
        [[1]],
        [[0, 0]],
        [1.0],
        [1.0],
    )


def test_no_heat_is_no_centre_even_at_threshold_zero() -> None:
    labels, *_ = group(flat(9, 9), Options(centre_threshold=0.0))
    assert not labels.any()


def test_a_plateau_has_one_centre_a_window() -> None:
    maps = flat(1, 9)
    maps[..., 1] = 255
    _, centres, _, _ = group(maps, Options(window=2))
    # Only the first pixel ranks first: every other has an equal before it.
    assert centres.tolist() == [[0, 0]]


def test_a_centre_yields_to_a_higher_one_that_yields_itself() -> None:
    maps = flat(1, 13)
    maps[0, :, 1] = 200
    maps[0, [0, 6, 12], 1] = 255, 254, 253
    _, centres, _, _ = group(maps, Options(merge_distance=6.0, merge_dip=0.5))
    assert centres.tolist() == [[0, 0]]


def test_a_dip_between_centres_keeps_both() -> None:
    maps = flat(1, 7)
    maps[0, :, 1] = 255, 200, 200, 179, 200, 200, 200
    maps[0, 6, 1] = 201
    assert len(group(maps, Options(merge_distance=6.0, merge_dip=0.1))[1]) == 2
    assert len(group(maps, Options(merge_distance=6.0, merge_dip=0.12))[1]) == 1


def test_a_pixel_between_two_centres_goes_to_the_first_in_raster_order() -> None:
    maps = flat(1, 7)
    maps[0, [0, 6], 1] = 250, 255
    labels, *_ = group(maps, Options(assignment_radius=3.0))
    assert labels.tolist() == [[1, 1, 1, 1, 2, 2, 2]]


def test_thresholds_that_name_a_byte_mean_that_byte() -> None:
    for byte in range(1, 256):
        maps = flat(1, 2)
        maps[0, :, 1] = byte, 0
        maps[0, :, 0] = byte, byte - 1
        labels, *_ = group(maps, Options(foreground_threshold=byte / 255, centre_threshold=byte / 255))
        assert labels.tolist() == [[1, 0]]


def test_more_nuclei_than_sixteen_bits_can_number() -> None:
    maps = np.zeros((520, 520, 4), np.uint8)
    maps[..., 2:] = 128
    maps[::2, ::2, :2] = 255
    labels, centres, _, _ = group(maps, Options(window=1, assignment_radius=0.0))
    assert labels.max() == len(centres) == 260 * 260
    assert labels[::2, ::2].ravel().tolist() == list(range(1, 260 * 260 + 1))


def test_arrays_that_are_not_contiguous_give_the_same_result() -> None:
    rng = np.random.default_rng(0)
    maps = rng.integers(0, 256, (30, 40, 4), np.uint8)
    views = [np.asfortranarray(maps), np.repeat(maps, 2, 1)[:, ::2], maps[::-1, ::-1].copy()[::-1, ::-1]]
    for view, sigma in itertools.product(views, (0.0, 1.5)):
        assert not view.flags.c_contiguous
        assert_same(group(view, Options(centre_sigma=sigma)), group(maps, Options(centre_sigma=sigma)))


def test_maps_that_may_not_be_written_are_read() -> None:
    maps = exact_targets(np.eye(9, dtype=np.uint32))
    frozen = maps.copy()
    frozen.flags.writeable = False
    found = group(frozen, Options())
    assert found[0].any()
    assert_same(found, group(maps, Options()))


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (
            np.zeros((4, 4, 4)),
            r"maps: expected an array \(H, W, 4\) of uint8, got shape \[4, 4, 4\] of float64",
        ),
        (np.zeros((4, 4), np.uint8), r"maps: expected .* got shape \[4, 4\] of uint8"),
        (np.zeros((4, 4, 3), np.uint8), "maps: expected 4 channels .* got 3"),
        ([[1, 2]], "maps: expected .* got list"),
        (None, "maps: expected .* got NoneType"),
    ],
)
def test_what_is_not_maps_is_refused_with_what_came(maps: object, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        group(maps, Options())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("foreground_threshold", 1.5),
        ("foreground_threshold", math.nan),
        ("centre_threshold", -0.1),
        ("centre_sigma", 17.0),
        ("centre_sigma", math.inf),
        ("window", 0),
        ("window", -1),
        ("merge_distance", 129.0),
        ("merge_dip", 2.0),
        ("assignment_radius", -1.0),
        ("max_offset", 65),
        ("min_area", -1),
        ("min_score", 1.01),
        ("min_peak", math.nan),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: expected .*, got"):
        _core.group(flat(2, 2), **{**asdict(Options()), name: value})


def test_the_margin_adds_up_all_that_a_nucleus_depends_on() -> None:
    margin = _core.group_margin(centre_sigma=1.5, window=4, merge_distance=6.5, assignment_radius=3.0, max_offset=30)
    assert margin == 2 * (30 + 3) + 7 + 4 + 5
