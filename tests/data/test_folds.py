"""Folds keep mosaics whole and kinds even."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from nucleus_unet.data.dataset import Example
from nucleus_unet.data.folds import assign_folds, hold_out_images
from nucleus_unet.errors import DataError, SettingsError

LABELS = np.zeros((1, 1), np.uint32)


def example(index: int, kind: str, mosaic: str, *, pixel: int | None = None) -> Example:
    """An image of one pixel, another for each index."""
    image = np.array([[index if pixel is None else pixel]], np.uint16)
    return Example(str(index), kind, image, LABELS, mosaic)


def counts(examples: list[Example], folds: list[int], count: int) -> dict[str, list[int]]:
    """Images of each kind in each fold."""
    found: dict[str, list[int]] = defaultdict(lambda: [0] * count)
    for one, fold in zip(examples, folds, strict=True):
        found[one.category][fold] += 1
    return found


@st.composite
def sets(draw: st.DrawFn, *, mixed: bool) -> list[Example]:
    """Training sets of a few kinds; mosaics of several kinds if `mixed`."""
    members = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 15)), min_size=1, max_size=60))
    return [
        example(index, kind, str(mosaic) if mixed else f"{kind}{mosaic}")
        for index, (kind, mosaic) in enumerate(members)
    ]


folds_and_seed = {"count": st.integers(2, 5), "seed": st.integers(0, 9)}


def enough(examples: list[Example], count: int) -> None:
    assume(len({one.field_id for one in examples}) >= count)


@given(examples=sets(mixed=True), **folds_and_seed)
def test_no_mosaic_is_split_and_no_fold_is_empty(examples: list[Example], count: int, seed: int) -> None:
    enough(examples, count)
    folds = assign_folds(examples, count, seed=seed)
    assert set(folds) == set(range(count))
    homes = {(one.field_id, fold) for one, fold in zip(examples, folds, strict=True)}
    assert len(homes) == len({one.field_id for one in examples})


@given(examples=sets(mixed=False), **folds_and_seed)
def test_folds_differ_in_a_kind_by_its_largest_mosaic_at_most(examples: list[Example], count: int, seed: int) -> None:
    enough(examples, count)
    folds = assign_folds(examples, count, seed=seed)
    largest: Counter[str] = Counter()
    for (kind, _), images in Counter((one.category, one.field_id) for one in examples).items():
        largest[kind] = max(largest[kind], images)
    for kind, spread in counts(examples, folds, count).items():
        assert max(spread) - min(spread) <= largest[kind]


@given(examples=sets(mixed=True), data=st.data(), **folds_and_seed)
def test_the_order_of_examples_does_not_matter(
    examples: list[Example], data: st.DataObject, count: int, seed: int
) -> None:
    enough(examples, count)
    shuffled = data.draw(st.permutations(examples))
    expected = {one.name: fold for one, fold in zip(examples, assign_folds(examples, count, seed=seed), strict=True)}
    folds = assign_folds(shuffled, count, seed=seed)
    assert {one.name: fold for one, fold in zip(shuffled, folds, strict=True)} == expected


def test_kinds_with_a_single_mosaic_fill_the_smaller_folds() -> None:
    examples = [example(index, f"kind{index}", f"mosaic{index}") for index in range(10)]
    assert Counter(assign_folds(examples, 5)) == dict.fromkeys(range(5), 2)


def test_another_seed_gives_another_assignment() -> None:
    examples = [example(index, "a", str(index)) for index in range(50)]
    assert assign_folds(examples, seed=0) == assign_folds(examples, seed=0) != assign_folds(examples, seed=1)


def test_fewer_mosaics_than_folds_are_an_error() -> None:
    with pytest.raises(DataError, match="1 field cannot fill 5 folds"):
        assign_folds([example(index, "a", "same") for index in range(9)])


def test_fewer_than_two_folds_are_an_error() -> None:
    with pytest.raises(SettingsError, match="folds: expected at least 2, got 1"):
        assign_folds([example(0, "a", "a")], 1)


def test_every_real_cluster_is_spread_over_the_folds(real_data: Path) -> None:
    with (real_data / "dsb2018" / "groups.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stardist_split"] != "test"]
    examples = [example(index, row["cluster"], row["mosaic"]) for index, row in enumerate(rows)]
    assert len(examples) == 615
    folds = assign_folds(examples, 5)
    spread = counts(examples, folds, 5)
    # A mosaic holds four images at most, and its tiles fall into two clusters at times.
    assert all(max(images) - min(images) <= 4 for images in spread.values()), dict(spread)
    assert max(Counter(folds).values()) - min(Counter(folds).values()) <= 4


def of_kind(kind: str, number: int) -> Example:
    image = np.array([[ord(kind), number]], np.uint8)
    return Example(f"{kind}-{number}", kind, image, np.zeros((1, 2), np.uint32), f"{kind}-{number}")


def test_a_whole_kind_can_be_held_out() -> None:
    examples = [of_kind(kind, number) for number in range(5) for kind in "ab"]
    training, held_out = hold_out_images(examples, folds=10, category="b", seed=0)
    assert {example.category for example in training} == {"a"}
    assert {example.category for example in held_out} == {"b"}
    assert len(training) + len(held_out) == len(examples)


def test_without_a_kind_the_first_fold_is_held_out() -> None:
    examples = [of_kind("a", number) for number in range(20)]
    training, held_out = hold_out_images(examples, folds=5, category=None, seed=0)
    folds = assign_folds(examples, 5, seed=0)
    assert [example.name for example in held_out] == [
        example.name for example, fold in zip(examples, folds, strict=True) if fold == 0
    ]
    assert len(training) == 16


@pytest.mark.parametrize("kind", ["c", "a"])
def test_holding_out_no_image_or_every_image_is_an_error_that_names_the_kinds(kind: str) -> None:
    with pytest.raises(SettingsError, match=r"several categories \(a\), got"):
        hold_out_images([of_kind("a", number) for number in range(4)], folds=2, category=kind, seed=0)


def test_mosaics_that_hold_the_same_image_share_a_fold_in_whatever_order_they_come() -> None:
    examples = [example(index, "a", f"m{index}", pixel=index // 3) for index in range(12)]
    examples += [example(12, "a", "m0"), example(13, "b", "n")]
    folds = dict(zip(examples, assign_folds(examples, 4), strict=True))
    for same in range(4):
        assert len({folds[one] for one in examples if one.image[0, 0] == same}) == 1
    assert folds[examples[12]] == folds[examples[0]]
    backwards = dict(zip(examples[::-1], assign_folds(examples[::-1], 4), strict=True))
    assert backwards == folds
    with pytest.raises(DataError, match="5 fields cannot fill 6 folds"):
        assign_folds(examples, 6)


def test_a_mosaic_of_the_kind_held_out_is_not_trained_on_under_another_kind_or_name() -> None:
    examples = [example(0, "a", "m0"), example(1, "b", "m1"), example(2, "b", "m2", pixel=0), example(3, "b", "m0")]
    training, held_out = hold_out_images(examples, folds=None, category="a", seed=0)
    assert (training, held_out) == ([examples[1]], [examples[0]])


def test_where_nothing_is_left_to_train_on_it_is_said() -> None:
    examples = [example(0, "a", "m0"), example(1, "b", "m1", pixel=0)]
    with pytest.raises(SettingsError, match="all fields of the other categories have images of 'a' too"):
        hold_out_images(examples, folds=None, category="a", seed=0)
