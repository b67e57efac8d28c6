"""What a model learns to find the scale of an image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.training.scale_fitting import Enlargement, Observation, fit, small_diameter


def enlargement(diameter: float, gain: float, at_own_size: bool = True, count: int = 20) -> Enlargement:
    return Enlargement(np.full(count, diameter), gain, at_own_size)


def test_images_are_enlarged_up_to_the_diameter_where_it_gains_most_in_all() -> None:
    gains = [enlargement(8, 0.2), enlargement(10, -0.1), enlargement(12, 0.3), enlargement(15, -0.2)]
    assert 12 < small_diameter(gains) <= 15


def test_no_image_is_enlarged_if_that_gains_nothing() -> None:
    assert small_diameter([enlargement(8, -0.2), enlargement(12, 0.1)]) == 0
    assert small_diameter([]) == 0


def test_images_at_their_own_size_decide() -> None:
    smaller = [enlargement(10, 0.4, False), enlargement(14, 0.4, False)]
    assert small_diameter([*smaller, enlargement(12, 0.1), enlargement(13, -0.05)]) in (12.5, 13)
    assert small_diameter([*smaller, enlargement(12, -0.1)]) in (10.5, 11, 11.5, 12)


def test_among_diameters_that_are_equal_for_these_all_images_decide() -> None:
    assert small_diameter([enlargement(10, 0.4, False), enlargement(14, 0.4, False)]) == 14.5
    assert small_diameter([enlargement(9, 0.1), enlargement(10, 0.4, False), enlargement(14, -0.4, False)]) in (
        10.5,
        11,
        11.5,
        12,
        12.5,
        13,
        13.5,
        14,
    )


def test_a_few_specks_among_large_nuclei_do_not_count() -> None:
    diameters = np.array([8.0] * 9 + [60.0] * 2)
    assert small_diameter([Enlargement(diameters, 0.3)]) == 0
    assert small_diameter([enlargement(8, 0.3, count=2)]) == 0


@given(st.lists(st.tuples(st.floats(6, 19), st.floats(-1, 1), st.booleans()), max_size=12))
def test_no_other_diameter_gains_more_at_their_own_size(images: list[tuple[float, float, bool]]) -> None:
    chosen = small_diameter([enlargement(*image) for image in images])

    def gains(bound: float) -> tuple[float, float]:
        enlarged = [(gain, at_own_size) for diameter, gain, at_own_size in images if diameter < bound]
        return sum(gain for gain, own in enlarged if own), sum(gain for gain, _ in enlarged)

    best = max(gains(step / 2)[0] for step in range(12, 41))
    assert gains(chosen)[0] >= max(0, best) - 1e-9


def observations(count: int, *, is_empty: bool, seed: int) -> list[Observation]:
    """Images with random measurements; in an empty one, three nuclei are found at each scale."""
    rng = np.random.default_rng(seed)
    shift = 2.0 if is_empty else 0.0
    return [
        Observation(
            magnification=1.0,
            measurements=rng.normal(shift, 1, (6, 21)),
            msa=np.zeros(6) if is_empty else rng.random(6),
            returned_msa=np.zeros(6) if is_empty else rng.random(6),
            counts=np.full(6, 3),
            diameters=np.full(3, 20.0),
            enlarged_msa=None,
            is_empty=is_empty,
        )
        for _ in range(count)
    ]


def test_empty_fields_do_not_change_which_scale_is_chosen() -> None:
    labelled = observations(60, is_empty=False, seed=0)
    alone, both = fit(labelled), fit([*labelled, *observations(20, is_empty=True, seed=1)])
    assert both.weights == alone.weights
    assert both.mean == alone.mean
    assert both.small_diameter == alone.small_diameter


def test_what_is_found_in_an_image_like_an_empty_field_is_expected_to_be_wrong() -> None:
    labelled, empty = observations(60, is_empty=False, seed=0), observations(40, is_empty=True, seed=1)
    unseen = observations(10, is_empty=True, seed=2)
    before, after = (
        np.mean([score.expected_msa(each.measurements[0]) for each in unseen])
        for score in (fit(labelled), fit([*labelled, *empty]))
    )
    assert after < 0.15 < before


def test_the_scale_is_learned_from_what_the_search_sees_and_the_accuracy_from_what_is_returned() -> None:
    labelled = observations(60, is_empty=False, seed=0)
    other_search = fit([each._replace(msa=1 - each.msa) for each in labelled])
    other_result = fit([each._replace(returned_msa=1 - each.returned_msa) for each in labelled])
    assert other_search.weights != fit(labelled).weights
    assert other_result.weights == fit(labelled).weights
    assert other_result.accuracy_weights != fit(labelled).accuracy_weights


def test_where_nothing_is_found_nothing_is_learned() -> None:
    labelled = observations(60, is_empty=False, seed=0)
    nothing = [
        each._replace(counts=np.zeros(6, int), returned_msa=np.ones(6))
        for each in observations(20, is_empty=True, seed=1)
    ]
    assert fit([*labelled, *nothing]).accuracy_weights == fit(labelled).accuracy_weights
