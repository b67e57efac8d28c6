"""Training: the samples, the losses, and runs that survive being killed."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.paths import TESTS
from helpers.training import FIELDS, TINY, assert_same_weights, field
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.training import trainer
from nucleus_unet.training.augmentation import AugmentConfig, draw_sample
from nucleus_unet.training.checkpoint import read_run_state
from nucleus_unet.training.losses import losses
from nucleus_unet.training.magnification import add_fine_texture
from nucleus_unet.training.sample_stream import SampleStream, collate
from nucleus_unet.training.source_image import SourceImage
from nucleus_unet.training.trainer import CHECKPOINT, Run, TrainConfig, train
from safetensors.torch import save_file

# --- samples -----------------------------------------------------------------------------------------------


def test_sample_number_k_is_the_same_whenever_it_is_drawn() -> None:
    stream = SampleStream(FIELDS, AugmentConfig(crop=32), seed=3, length=10)
    again = SampleStream(FIELDS, AugmentConfig(crop=32), seed=3, length=99)
    first = stream[7]
    stream[2]
    for one, other in ((first, stream[7]), (first, again[7])):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.targets.offset, other.targets.offset)


def test_other_seeds_give_other_samples() -> None:
    streams = [SampleStream(FIELDS, AugmentConfig(crop=32), seed=seed, length=1) for seed in (0, 1)]
    assert not np.array_equal(streams[0][0].image, streams[1][0].image)


def test_small_kinds_are_shown_more_often_than_their_share_of_images() -> None:
    many = [field(seed, kind="many") for seed in range(16)]
    one = dataclasses.replace(field(99, kind="one"), labels=np.ones((64, 64), np.uint32))
    config = AugmentConfig(crop=16, strength=0, negatives=0)
    stream = SampleStream([*many, one], config, seed=0, length=300)
    shown = sum(stream[number].targets.foreground.mean() > 0.99 for number in range(300))
    # One image in 17 would be 18 of 300; by the root of their numbers, sqrt(16) : sqrt(1), it is 60.
    assert 40 <= shown <= 80


@pytest.mark.parametrize("colour", [False, True])
def test_samples_are_normalised_images_with_their_targets(colour: bool) -> None:
    original = SourceImage(field(1, colour=colour).image, field(1).labels)
    for seed in range(20):
        sample = draw_sample(original, AugmentConfig(crop=48), np.random.default_rng(seed))
        assert sample.image.shape == (3, 48, 48)
        assert sample.image.dtype == np.float32
        assert sample.image.min() >= 0
        assert sample.image.max() <= 1
        assert np.array_equal(sample.targets.foreground > 0, sample.targets.diameter > 0)


def test_offsets_of_a_turned_and_scaled_sample_point_at_one_centre_a_nucleus() -> None:
    original = SourceImage(FIELDS[0].image, FIELDS[0].labels)
    config = AugmentConfig(crop=64, strength=0, negatives=0)
    for seed in range(10):
        found = draw_sample(original, config, np.random.default_rng(seed)).targets
        rows, columns = np.nonzero(found.foreground)
        ends = np.stack([rows, columns], 1) + found.offset[:, rows, columns].T
        assert len(np.unique(ends.round(2), axis=0)) <= 6


def test_what_lies_beyond_the_image_has_no_nuclei_and_does_not_count() -> None:
    example = field(2, side=24)
    full = SourceImage(example.image, np.ones_like(example.labels))
    sample = draw_sample(full, AugmentConfig(crop=64, scale=(1, 1), negatives=0), np.random.default_rng(0))
    assert not sample.valid.all()
    np.testing.assert_array_equal(sample.targets.foreground > 0, sample.valid)


def test_flat_images_and_images_without_nuclei_can_be_sampled() -> None:
    for image in (np.zeros((40, 40), np.uint8), np.full((40, 40, 3), 7, np.uint16)):
        original = SourceImage(image, np.zeros((40, 40), np.uint32))
        for seed in range(5):
            sample = draw_sample(original, AugmentConfig(crop=32), np.random.default_rng(seed))
            assert np.isfinite(sample.image).all()


def test_calmed_samples_are_cut_on_the_grid_of_the_image_half_of_the_time() -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (64, 64), dtype=np.uint8)
    image[0, :2] = 0, 255
    original = SourceImage(image, np.ones((64, 64), np.uint32))
    config = dataclasses.replace(AugmentConfig(crop=32, strength=0, negatives=0).final_phase(), diameters=(1, 1e3))
    samples = [draw_sample(original, config, np.random.default_rng(seed)).image[0] for seed in range(200)]
    # Interpolated pixels lie nearer to the mean: noise keeps its whole spread where pixels are kept.
    kept = sum(sample.std() > 0.95 * image.std() / 255 for sample in samples)
    assert 75 <= kept <= 125


def test_samples_are_calmed_from_the_start_of_the_decay_on() -> None:
    config = AugmentConfig(crop=32)
    streams = [SampleStream(FIELDS, each, seed=3, length=20) for each in (config, config.final_phase())]
    both = SampleStream(FIELDS, config, seed=3, length=20, final_phase_from=12)
    for number in range(20):
        np.testing.assert_array_equal(both[number].image, streams[number >= 12][number].image)


def test_training_on_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="no image"):
        SampleStream([], AugmentConfig(), seed=0, length=1)


def test_training_on_images_without_nuclei_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bare = [dataclasses.replace(each, labels=np.zeros_like(each.labels)) for each in FIELDS]
    with pytest.raises(DataError, match="expected labelled nuclei to train on, found none in 4 images"):
        train(TINY, bare, tmp_path / "run", device="cpu", workers=0)
    assert not (tmp_path / "run").exists()


# --- losses ------------------------------------------------------------------------------------------------


def test_the_loss_of_the_targets_themselves_is_almost_nothing() -> None:
    stream = SampleStream(FIELDS, AugmentConfig(crop=32, strength=0, negatives=0), seed=0, length=2)
    batch = collate([stream[0], stream[1]])
    perfect = torch.cat(
        [
            ((batch.foreground * 2 - 1) * 30)[:, None],
            torch.logit(batch.heat.clamp(1e-6, 1 - 1e-6))[:, None],
            batch.offset / OFFSET_SCALE,
        ],
        dim=1,
    )
    assert losses(perfect, batch).total() < 1e-2
    assert losses(torch.zeros_like(perfect), batch).total() > 0.5


def test_pixels_that_do_not_count_do_not_change_the_loss() -> None:
    stream = SampleStream(FIELDS, AugmentConfig(crop=32), seed=0, length=1)
    batch = collate([stream[0]])
    valid = batch.valid.clone()
    valid[:, :10] = 0
    batch = batch._replace(valid=valid)
    output = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    other = output.clone()
    other[:, :, :10] = 5
    assert losses(output, batch).total() == losses(other, batch).total()


def test_a_part_of_the_loss_that_weighs_nothing_teaches_nothing() -> None:
    stream = SampleStream(FIELDS, AugmentConfig(crop=32), seed=0, length=1)
    output = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    losses(output, collate([stream[0]])).total(heat=0).backward()
    assert output.grad is not None
    assert not output.grad[:, 1].any()
    assert all(output.grad[:, channel].any() for channel in (0, 2, 3))


def test_what_is_reported_as_loss_does_not_follow_the_weights_it_was_trained_with(tmp_path: Path) -> None:
    reported = []
    for heat_weight in (1.0, 4.0):
        one_step = dataclasses.replace(TINY, samples=TINY.batch_size, heat_weight=heat_weight)
        folder = tmp_path / str(heat_weight)
        train(one_step, FIELDS, folder, device="cpu", workers=0, report=lambda run: reported.append(run.history[-1]))
    assert reported[0]["train_loss"] == reported[1]["train_loss"]


# --- schedules ---------------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_stays_and_falls_to_nothing_by_samples() -> None:
    config = TrainConfig(samples=1000, batch_size=10, warmup=100, decay=0.4, learning_rate=1.0)
    assert config.learning_rate_at(0) == pytest.approx(0.1)
    assert config.learning_rate_at(100) == config.learning_rate_at(600) == 1.0
    assert 0 < config.learning_rate_at(990) < config.learning_rate_at(700) < 1
    assert config.learning_rate_at(1000) == 0


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"samples": 25}, "samples"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"decay": 2.0}, "decay"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, float], names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        dataclasses.replace(TINY, **change)


# --- runs --------------------------------------------------------------------------------------------------


@pytest.mark.heavy
def test_a_few_samples_make_the_loss_smaller(tmp_path: Path) -> None:
    history: list[float] = []
    config = dataclasses.replace(TINY, samples=240, validate_every=40, learning_rate=1e-2)
    train(
        config,
        FIELDS,
        tmp_path,
        device="cpu",
        workers=0,
        report=lambda run: history.append(run.history[-1]["train_loss"]),
    )
    assert history[-1] < 0.8 * history[0]


def stop(run: Run) -> None:
    raise KeyboardInterrupt


def test_a_run_that_was_stopped_goes_on_to_the_very_same_weights(tmp_path: Path) -> None:
    train(TINY, FIELDS, tmp_path / "whole", device="cpu", workers=0)

    with pytest.raises(KeyboardInterrupt):
        train(TINY, FIELDS, tmp_path / "parts", device="cpu", workers=0, report=stop)
    assert read_run_state(tmp_path / "parts" / CHECKPOINT)["position"] == 4
    train(TINY, FIELDS, tmp_path / "parts", device="cpu", workers=1)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.training import FIELDS, TINY
from nucleus_unet.training.trainer import train
import dataclasses
train(dataclasses.replace(TINY, samples=120), FIELDS, Path(sys.argv[1]), device="cpu", workers=0)
"""


def test_killing_training_at_any_moment_and_resuming_gives_the_same_weights(tmp_path: Path) -> None:
    script = KILLED.format(tests=str(TESTS))
    rng = np.random.default_rng(0)
    for kill in range(3):
        process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "killed")])
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed" / CHECKPOINT).exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3) * (kill + 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    train(dataclasses.replace(TINY, samples=120), FIELDS, tmp_path / "killed", device="cpu", workers=0)
    train(dataclasses.replace(TINY, samples=120), FIELDS, tmp_path / "whole", device="cpu", workers=0)
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")
    whole, killed = (read_run_state(tmp_path / each / CHECKPOINT)["history"] for each in ("whole", "killed"))
    for entry in (*whole, *killed):
        entry.pop("samples_per_second", None)
    assert killed == whole


def test_a_longer_run_goes_on_from_a_shorter_one_before_its_decay(tmp_path: Path) -> None:
    longer = dataclasses.replace(TINY, samples=48)
    train(longer, FIELDS, tmp_path / "whole", device="cpu", workers=0)

    with pytest.raises(KeyboardInterrupt):
        train(TINY, FIELDS, tmp_path / "parts", device="cpu", workers=0, report=stop)
    train(longer, FIELDS, tmp_path / "parts", device="cpu", workers=0)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_finished_run_is_not_made_longer(tmp_path: Path) -> None:
    train(TINY, FIELDS, tmp_path, device="cpu", workers=0)
    with pytest.raises(SettingsError, match="decay"):
        train(dataclasses.replace(TINY, samples=48), FIELDS, tmp_path, device="cpu", workers=0)


def test_other_settings_are_refused_by_name_in_a_folder_with_a_run(tmp_path: Path) -> None:
    train(TINY, FIELDS, tmp_path, device="cpu", workers=0)
    with pytest.raises(SettingsError, match="learning_rate"):
        train(dataclasses.replace(TINY, learning_rate=1e-4), FIELDS, tmp_path, device="cpu", workers=0)


def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=CHECKPOINT):
        train(TINY, FIELDS, tmp_path, device="cpu", workers=0)


def test_a_checkpoint_that_lacks_something_is_an_error_that_names_it(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / CHECKPOINT, metadata={"run_state": '{"position": 4}'})
    with pytest.raises(DataError, match="config"):
        train(TINY, FIELDS, tmp_path, device="cpu", workers=0)


def test_validation_joins_the_history(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    train(
        TINY,
        FIELDS,
        tmp_path,
        device="cpu",
        workers=0,
        validate=lambda _network: {"validation_loss": 0.5},
        report=lambda run: seen.append(run.history[-1]),
    )
    assert [entry["samples"] for entry in seen] == [8, 16, 24]
    assert all(entry["validation_loss"] == 0.5 and entry["train_loss"] > 0 for entry in seen)


def test_a_run_does_not_go_on_with_other_images(tmp_path: Path) -> None:
    train(TINY, FIELDS, tmp_path, device="cpu", workers=0)
    with pytest.raises(SettingsError, match="other training images"):
        train(TINY, FIELDS[:2], tmp_path, device="cpu", workers=0)


def test_two_runs_do_not_train_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_LOCK_TIMEOUT", 0.1)

    def start_another(run: Run) -> None:
        with pytest.raises(SettingsError, match="another process is training"):
            train(TINY, FIELDS, tmp_path, device="cpu", workers=0)

    train(TINY, FIELDS, tmp_path, device="cpu", workers=0, report=start_another)


def test_samples_of_any_size_show_nuclei_of_all_diameters_asked_for() -> None:
    original = SourceImage(FIELDS[0].image, FIELDS[0].labels)
    config = AugmentConfig(crop=64, strength=0, negatives=0, any_size=1.0, any_diameters=(6.0, 120.0))
    samples = [draw_sample(original, config, np.random.default_rng(seed)) for seed in range(60)]
    medians = [np.median(s.targets.diameter[s.targets.diameter > 0]) for s in samples if s.targets.foreground.any()]
    assert min(medians) < 9
    assert max(medians) > 70


def test_enlarged_nuclei_get_texture_inside_and_none_outside() -> None:
    labels = np.zeros((64, 64), np.uint32)
    labels[16:48, 16:48] = 1
    image = np.full((3, 64, 64), 0.5, np.float32)
    changed = [add_fine_texture(image, labels, 4.0, True, np.random.default_rng(seed)) for seed in range(12)]
    assert all(np.array_equal(each[:, labels == 0], image[:, labels == 0]) for each in changed)
    assert sum(float(each[0, labels > 0].std()) > 0.01 for each in changed) >= 6
