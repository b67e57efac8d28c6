"""Corrected images as a labelled set that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import draw_nuclei
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.data.folds import hold_out_images
from nucleus_unet.errors import DataError, ImageError
from nucleus_unet.napari.training_set import Corrected, trainable, write_training_set
from numpy.typing import NDArray


def corrected(name: str, seed: int, shape: tuple[int, int] = (160, 140)) -> Corrected:
    image, labels = draw_nuclei(shape, count=6, seed=seed)
    return Corrected(name, np.rint(image * 200).astype(np.uint8), labels)


def canonical(labels: NDArray[Any]) -> set[frozenset[int]]:
    """The sets of pixels of the nuclei, whatever their numbers."""
    return {frozenset(np.flatnonzero(labels == number).tolist()) for number in np.unique(labels[labels > 0])}


def test_training_reads_the_images_and_nuclei_that_were_written(tmp_path: Path) -> None:
    pairs = [corrected("Zellen 1 (DAPI)", 1), corrected("Ядра", 2)]
    written = write_training_set(tmp_path / "größe", pairs)
    examples, report = read_examples(tmp_path / "größe")
    assert (written.images, written.nuclei, written.total) == (2, 12, 2)
    assert (report.images, report.nuclei, report.skipped) == (2, 12, {})
    for each in pairs:
        [example] = [example for example in examples if np.array_equal(example.image, each.image)]
        assert canonical(example.labels) == canonical(each.labels)


def test_a_single_image_is_cut_into_parts_so_that_one_can_be_held_out(tmp_path: Path) -> None:
    only = corrected("cells", 3)
    write_training_set(tmp_path, [only])
    examples, _ = read_examples(tmp_path)
    training, held_out = hold_out_images(examples, folds=None, category=None, seed=0)
    assert (len(training), len(held_out)) == (3, 1)
    assert sum(example.image.size for example in examples) == only.image.size
    assert sum(int((example.labels > 0).sum()) for example in examples) == int((only.labels > 0).sum())


def test_a_single_image_that_is_too_small_to_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got one of 100 x 100: correct a second image too"):
        write_training_set(tmp_path / "new", [corrected("cells", 3, (100, 100))])
    assert not (tmp_path / "new").exists()


def test_an_image_that_is_corrected_again_replaces_its_labels(tmp_path: Path) -> None:
    first, second = corrected("a", 1), corrected("b", 2)
    write_training_set(tmp_path, [first, second])
    better = first._replace(labels=np.where(first.labels == 1, 0, first.labels).astype(np.uint32))
    assert write_training_set(tmp_path, [better]).total == 2
    _, report = read_examples(tmp_path)
    assert report.nuclei == 11


def test_an_image_that_was_cut_is_whole_once_there_is_a_second_one(tmp_path: Path) -> None:
    first, second = corrected("a", 1), corrected("b", 2)
    write_training_set(tmp_path, [first])
    write_training_set(tmp_path, [first, second])
    examples, _ = read_examples(tmp_path)
    assert sorted(example.image.shape for example in examples) == [(160, 140), (160, 140)]


def test_labels_are_tidied(tmp_path: Path) -> None:
    labels = np.zeros((160, 140), np.uint32)
    labels[10:20, 10:20] = labels[30:40, 10:20] = 7
    labels[50, 50] = 8
    pair = Corrected("painted", labels.astype(np.uint8), labels)
    write_training_set(tmp_path, [pair, corrected("b", 2)])
    _, report = read_examples(tmp_path)
    assert report.nuclei == 2 + 6


def test_images_without_nuclei_are_passed_over_and_none_with_is_refused(tmp_path: Path) -> None:
    empty = corrected("empty", 4)._replace(labels=np.zeros((160, 140), np.uint32))
    assert write_training_set(tmp_path, [empty, corrected("a", 1), corrected("b", 2)]).images == 2
    with pytest.raises(DataError, match="at least one nucleus, got none"):
        write_training_set(tmp_path / "other", [empty])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16, bool])
def test_values_of_other_types_become_16_bit_in_the_same_order(dtype: type) -> None:
    image = np.maximum(np.random.default_rng(0).normal(0, 100, (20, 20)), 0).astype(dtype)
    stored = trainable(image)
    assert stored.dtype == np.uint16
    order = np.argsort(image.ravel(), kind="stable")
    assert (np.diff(stored.ravel()[order].astype(int)) >= 0).all()
    assert (stored.min(), stored.max()) == (0, 65535)


def test_values_that_are_no_numbers_are_refused() -> None:
    image = np.ones((9, 9))
    image[3, 3] = np.nan
    with pytest.raises(ImageError, match="expected an image of finite numbers"):
        trainable(image)


def test_labels_of_another_image_are_refused(tmp_path: Path) -> None:
    one, other = corrected("a", 1), corrected("b", 2, (150, 140))
    with pytest.raises(DataError, match="expected labels of 160 x 140 pixels for a, got 150 x 140"):
        write_training_set(tmp_path, [one._replace(labels=other.labels), other])
    assert list(tmp_path.iterdir()) == []


def test_colours_stay_colours(tmp_path: Path) -> None:
    pair = corrected("a", 1)
    colours = np.dstack([pair.image, pair.image // 2, pair.image // 3])
    write_training_set(tmp_path, [pair._replace(image=colours), corrected("b", 2)])
    examples, _ = read_examples(tmp_path)
    assert any(np.array_equal(example.image, colours) for example in examples)
