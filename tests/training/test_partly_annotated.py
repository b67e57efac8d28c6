"""Images that are annotated in part: what lies elsewhere changes neither weights nor scores."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import FIELDS, TINY
from nucleus_unet.data.dataset import Example
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import quantise, targets
from nucleus_unet.training.augmentation import AugmentConfig, draw_sample
from nucleus_unet.training.losses import losses
from nucleus_unet.training.sample_stream import SampleStream, collate
from nucleus_unet.training.scale_fitting import show_at
from nucleus_unet.training.source_image import SourceImage
from nucleus_unet.training.trainer import fingerprint, train
from nucleus_unet.training.validation import PredictedMaps, score_maps

SHAPE = (64, 64)
LEFT = np.zeros(SHAPE, bool)
LEFT[:, :24] = True


def partly(example: Example) -> Example:
    """The example with what lies at the left annotated."""
    within = example.labels * LEFT
    # Nuclei across the border are left out, as reading does.
    crossing = np.unique(example.labels[~LEFT])
    labels = np.where(np.isin(within, crossing), 0, within).astype(np.uint32)
    valid = LEFT & ~np.isin(example.labels, crossing[crossing > 0])
    return dataclasses.replace(example, labels=labels, valid=valid)


PARTLY = [partly(example) for example in FIELDS]


def test_samples_come_from_the_annotated_part_and_only_it_is_valid() -> None:
    valid = np.zeros((200, 200), bool)
    valid[150:190, 20:60] = True
    image = np.where(valid, 200, 10).astype(np.uint8)
    image[0, 0] = 255
    original = SourceImage(image, np.zeros((200, 200), np.uint32), valid)
    config = dataclasses.replace(AugmentConfig(crop=32, strength=0, negatives=0), scale=(1, 1), diameters=(1, 1e3))
    for seed in range(40):
        sample = draw_sample(original, config, np.random.default_rng(seed))
        assert sample.valid.mean() > 0.3
        # What counts is bright, apart from the border that turning blurs.
        assert (sample.image[0][sample.valid] > 0.3).mean() > 0.95


def test_a_completely_annotated_image_gives_the_samples_of_one_without_a_mask() -> None:
    whole = [dataclasses.replace(each, valid=np.ones(SHAPE, bool)) for each in FIELDS]
    config = AugmentConfig(crop=32, any_size=0.5)
    for number in range(8):
        one, other = (SampleStream(each, config, seed=3, length=8)[number] for each in (FIELDS, whole))
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.valid, other.valid)
        np.testing.assert_array_equal(one.targets.offset, other.targets.offset)


def test_the_loss_does_not_depend_on_the_output_where_nobody_annotated() -> None:
    stream = SampleStream(PARTLY, AugmentConfig(crop=32, negatives=0), seed=1, length=4)
    batch = collate([stream[number] for number in range(4)])
    assert 0 < batch.valid.mean() < 1
    output = torch.randn(4, 4, 32, 32)
    elsewhere = torch.where(batch.valid[:, None] > 0, output, torch.randn(4, 4, 32, 32) * 9)
    for one, other in zip(losses(output, batch), losses(elsewhere, batch), strict=True):
        assert one == pytest.approx(float(other), rel=1e-6)


def test_a_network_trains_on_images_that_are_annotated_in_part(tmp_path: Path) -> None:
    network = train(dataclasses.replace(TINY, samples=4), PARTLY, tmp_path, device="cpu", workers=0)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_a_run_is_not_resumed_with_another_annotated_part() -> None:
    assert fingerprint(PARTLY) != fingerprint([dataclasses.replace(each, valid=None) for each in PARTLY])


def test_validation_and_calibration_score_only_what_is_annotated() -> None:
    # The maps of all nuclei, as if the network had found them, against those at the left.
    maps = quantise(*targets(FIELDS[0].labels)[:3])
    scores = {
        name: score_maps([PredictedMaps(dataclasses.replace(PARTLY[0], valid=valid), maps, 0.0)], GroupConfig())
        for name, valid in (("all", None), ("left", PARTLY[0].valid))
    }
    assert scores["all"].predictions == len(np.unique(FIELDS[0].labels)) - 1
    assert scores["all"].errors.background > 0
    assert scores["left"].predictions == scores["left"].truths == len(np.unique(PARTLY[0].labels)) - 1 > 0
    assert scores["left"].pooled[0.5] == 1


@pytest.mark.parametrize("magnification", [0.5, 1.0, 3.0])
def test_an_image_at_another_size_keeps_its_annotated_part(magnification: float) -> None:
    shown = show_at(PARTLY[0], magnification)
    assert shown.valid is not None
    assert shown.valid.shape == shown.labels.shape
    assert PARTLY[0].valid is not None
    assert shown.valid.mean() == pytest.approx(PARTLY[0].valid.mean(), abs=0.02)
    assert not (shown.labels > 0)[~shown.valid].any()
