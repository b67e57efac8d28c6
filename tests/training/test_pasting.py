"""Nuclei of one cut of an image are pasted into another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.model.targets import nuclei_of
from nucleus_unet.training.augmentation import AugmentConfig, draw_sample
from nucleus_unet.training.pasting import Cut, paste_nuclei
from nucleus_unet.training.source_image import SourceImage
from numpy.typing import NDArray

NONE = np.empty(0, np.int64)


def cut_of(places: list[tuple[int, int, int]], brightness: float = 0.9, side: int = 48) -> Cut:
    """Squares of a number of pixels from a row and a column on, on a background of 0.1."""
    labels = np.zeros((side, side), np.uint32)
    for number, (row, column, width) in enumerate(places, start=1):
        labels[row : row + width, column : column + width] = number
    image = np.where(labels > 0, np.float32(brightness), np.float32(0.1)) * np.ones((3, 1, 1), np.float32)
    return Cut(image, labels, nuclei_of(labels), np.ones(labels.shape, bool))


def pasted_at_some_seed(target: Cut, source: Cut, incomplete: NDArray[np.int64] = NONE) -> bool:
    cuts = (paste_nuclei(target, source, incomplete, np.random.default_rng(seed)) for seed in range(20))
    return any(int(cut.labels.max()) > int(target.labels.max()) for cut in cuts)


def test_a_nucleus_that_fits_is_pasted_with_its_pixels_its_centre_and_its_size() -> None:
    target, source = cut_of([(4, 4, 9)], 0.9), cut_of([(20, 13, 7)], 0.5)
    cuts = [paste_nuclei(target, source, NONE, np.random.default_rng(seed)) for seed in range(20)]
    pasted = next(cut for cut in cuts if cut.labels.max() == 2)
    assert np.array_equal(pasted.labels == 2, source.labels == 1)
    assert np.array_equal(pasted.labels == 1, target.labels == 1)
    assert np.allclose(pasted.image[:, pasted.labels == 2], 0.5)
    assert pasted.nuclei.centres[2].tolist() == source.nuclei.centres[1].tolist()
    assert pasted.nuclei.diameters[2] == source.nuclei.diameters[1]


def test_a_nucleus_that_would_cover_another_by_one_pixel_is_not_pasted() -> None:
    target = cut_of([(10, 10, 10)])
    assert not pasted_at_some_seed(target, cut_of([(19, 19, 8)]))
    assert pasted_at_some_seed(target, cut_of([(20, 20, 8)]))


def test_a_nucleus_that_the_edge_of_the_image_cuts_is_not_pasted() -> None:
    assert not pasted_at_some_seed(cut_of([]), cut_of([(4, 4, 9)]), np.array([0, 1]))


def test_a_nucleus_that_is_not_pasted_has_no_centre_and_no_size() -> None:
    target, source = cut_of([(10, 10, 10)]), cut_of([(12, 12, 8), (30, 30, 7)])
    cuts = [paste_nuclei(target, source, NONE, np.random.default_rng(seed)) for seed in range(20)]
    pasted = next(cut for cut in cuts if cut.labels.max() == 3)
    assert np.isnan(pasted.nuclei.centres[2]).all()
    assert pasted.nuclei.diameters.tolist()[2] == 0
    assert pasted.nuclei.centres[3].tolist() == source.nuclei.centres[2].tolist()


def test_nothing_is_pasted_where_nobody_annotated() -> None:
    target, source = cut_of([]), cut_of([(4, 4, 9)])
    hidden = np.ones(source.labels.shape, bool)
    hidden[8, 8] = False
    assert not pasted_at_some_seed(target, source._replace(valid=hidden))
    assert not pasted_at_some_seed(target._replace(valid=hidden), source)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_nuclei_of_the_target_keep_their_pixels_and_labels(seed: int) -> None:
    target = cut_of([(4, 4, 9), (30, 8, 12)], 0.8)
    source = cut_of([(13, 4, 8), (4, 13, 8), (20, 20, 9), (30, 21, 5)], 0.4)
    pasted = paste_nuclei(target, source, NONE, np.random.default_rng(seed))
    inside = target.labels > 0
    assert np.array_equal(pasted.labels[inside], target.labels[inside])
    assert np.array_equal(pasted.image[:, inside], target.image[:, inside])


def test_samples_have_more_nuclei_with_the_option_than_without() -> None:
    labels = np.zeros((64, 64), np.uint32)
    labels[4:16, 4:16], labels[40:52, 30:44] = 1, 2
    original = SourceImage(np.where(labels > 0, 200, 20).astype(np.uint8), labels)

    def covered(pasted: float) -> float:
        config = AugmentConfig(crop=48, negatives=0, strength=0, pasted=pasted)
        samples = [draw_sample(original, config, np.random.default_rng(seed)) for seed in range(40)]
        return float(np.mean([sample.targets.foreground.mean() for sample in samples]))

    assert covered(1.0) > 1.2 * covered(0.0)
