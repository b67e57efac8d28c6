"""The page of a training run, and its curves for TensorBoard."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.pages import NASTY, Page
from helpers.training import FIELDS, TINY, brief, field
from nucleus_unet import __version__
from nucleus_unet.errors import MissingExtraError
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.model.bundle import load_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.reports.plots import draw_curves
from nucleus_unet.training import pipeline
from nucleus_unet.training.checkpoint import read_run_state
from nucleus_unet.training.pipeline import REPORT, train_bundle
from nucleus_unet.training.report import TrainingRun, training_report_html
from nucleus_unet.training.tensorboard import ScalarWriter
from nucleus_unet.training.trainer import CHECKPOINT

IMAGES = [*FIELDS, dataclasses.replace(field(9), name=NASTY, category="o<i>dd", field_id="nine")]


@pytest.fixture(scope="module")
def trained(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a fine-tuned model that never saw the one image of its kind."""
    folder = tmp_path_factory.mktemp("trained") / "model <b>"
    origin = load_bundle(tiny_bundle)
    command = "nucleus-unet train --out 'model <b>'"
    train_bundle(
        brief(origin), IMAGES, folder, origin=origin, hold_out="o<i>dd", device="cpu", workers=0, command=command
    )
    return folder


@pytest.fixture(scope="module")
def page(trained: Path) -> Page:
    return Page((trained / "training" / REPORT).read_text(encoding="utf-8"))


# --- the page ----------------------------------------------------------------------------------------------


def test_the_page_is_whole_escaped_and_needs_no_network(trained: Path, page: Page) -> None:
    assert page.open == []
    assert page.tags.isdisjoint({"script", "i", "link", "iframe"})
    for name in (NASTY, "o<i>dd", "model <b>"):
        assert name in page.text
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)
    text = (trained / "training" / REPORT).read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text


def test_what_it_came_to_is_first_then_pictures_then_curves_then_the_details(page: Page) -> None:
    places = [page.text.index(each) for each in ("AP50", "Held-out images", "Curves", "Details")]
    assert places == sorted(places)


def test_the_page_shows_the_figures_of_the_metrics(trained: Path, page: Page) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    overall, before = metrics["validation"]["overall"], metrics["origin"]
    shown = page.text.split()
    text = " ".join(shown)
    assert f"{overall['pooled_ap']['0.50']:.3f}AP50, was {before['validation_pooled_ap50']:.3f}" in text
    assert f"{overall['pooled_mean_ap']:.3f}mean AP, was {before['validation_pooled_mean_ap']:.3f}" in text
    for figure in (overall["pixel_accuracy"], overall["per_image_mean_ap"], overall["pooled_ap"]["0.75"]):
        assert any(f"{figure:.3f}" in word for word in shown)
    assert f"{overall['truths']}held-out nuclei" in text


def test_the_page_shows_each_held_out_image_with_its_truth_and_prediction_and_every_curve(page: Page) -> None:
    kinds = Counter(source.split(";")[0] for source in page.sources)
    assert kinds == {"data:image/png": 3, "data:image/svg+xml": 6}


def test_the_page_names_command_seed_versions_and_settings(trained: Path, page: Page) -> None:
    assert "nucleus-unet train --out 'model <b>'" in page.text
    bundle = load_bundle(trained)
    for each in ("seed", __version__, bundle.fingerprint, "augment.crop", "learning_rate", "merge_distance"):
        assert each in page.text


def run_of(trained: Path, tiny_bundle: Path, **changes: Any) -> TrainingRun:
    bundle = load_bundle(trained)
    config = brief(load_bundle(tiny_bundle))
    history = read_run_state(trained / "training" / CHECKPOINT)["history"]
    predicted = pipeline.predict_examples(open_engine(bundle, device="cpu"), IMAGES)
    images = pipeline.evaluate_predictions(predicted, bundle.config.group)
    run = TrainingRun(config, bundle, history, FIELDS, images, load_bundle(tiny_bundle), "cpu", None)
    return dataclasses.replace(run, **changes)


def test_best_and_worst_images_are_shown_none_twice(trained: Path, tiny_bundle: Path) -> None:
    text = Page(training_report_html(run_of(trained, tiny_bundle))).text
    best, worst = text.split("Best images\n")[1].split("Error analysis")[0].split("Worst images\n")
    shown = [[image.name for image in IMAGES if f"{image.name} (" in part] for part in (best, worst)]
    assert [len(names) for names in shown] == [3, 2]
    assert sorted(shown[0] + shown[1]) == sorted(image.name for image in IMAGES)


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ([0.5, 0.6, 0.7], "is the last (0.700)"),
        ([0.5, 0.7, 0.6], "is at 8 samples (0.700); the saved weights are those of the last (0.600)"),
        ([0.7, 0.6, 0.5], "fine-tuning did not help on these images"),
    ],
)
def test_the_page_says_which_entry_is_the_best(
    trained: Path, tiny_bundle: Path, figures: list[float], says: str
) -> None:
    run = run_of(trained, tiny_bundle)
    history = [
        {**entry, "validation_per_image_mean_ap": value} for entry, value in zip(run.history, figures, strict=False)
    ]
    assert says in " ".join(Page(training_report_html(dataclasses.replace(run, history=history))).text.split())


def test_a_run_that_was_over_gets_the_same_page_again(trained: Path, tiny_bundle: Path) -> None:
    before = (trained / "training" / REPORT).read_bytes()
    origin = load_bundle(tiny_bundle)
    command = "nucleus-unet train --out 'model <b>'"
    train_bundle(
        brief(origin), IMAGES, trained, origin=origin, hold_out="o<i>dd", device="cpu", workers=0, command=command
    )
    assert (trained / "training" / REPORT).read_bytes() == before


def test_curves_leave_out_what_an_entry_lacks_and_are_equal_for_equal_histories() -> None:
    history = [{"samples": 0.0, "validation_loss": 1.0}, {"samples": 8.0, "validation_loss": 0.5, "train_loss": 0.7}]
    curves = draw_curves(history, marked=8.0)
    assert list(curves) == ["Loss", "Pixel accuracy", "AP50", "Mean AP", "Learning rate", "Samples per second"]
    assert curves == draw_curves(history, marked=8.0)
    assert b"held out" in curves["Loss"]
    assert b"held out" not in curves["AP50"]


# --- TensorBoard -------------------------------------------------------------------------------------------


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar that any event file in a folder holds, as TensorBoard's own reader finds it."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, list[tuple[int, float]]] = {}
    for path in folder.iterdir():
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    return found


def test_each_entry_is_written_once_though_a_killed_run_makes_it_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = dataclasses.replace(TINY, network=NetworkConfig(form="plain", width=4, depth=1), checkpoint_every=16)

    def kill(line: str) -> None:
        if line.startswith("8/"):
            raise KeyboardInterrupt  # before the first checkpoint, so the entry at 8 samples is lost

    folder = tmp_path / "training" / "tensorboard"
    with pytest.raises(KeyboardInterrupt):
        train_bundle(config, FIELDS, tmp_path, device="cpu", workers=0, tensorboard=True, log=kill)
    assert [step for step, _ in scalars(folder)["train/loss"]] == [8]
    train_bundle(config, FIELDS, tmp_path, device="cpu", workers=0, tensorboard=True)
    found = scalars(folder)
    history = read_run_state(tmp_path / "training" / CHECKPOINT)["history"]
    for tag, name in (("train/loss", "train_loss"), ("validation/pooled_ap50", "validation_pooled_ap50")):
        assert [step for step, _ in found[tag]] == [8, 16, 24]
        assert [value for _, value in found[tag]] == pytest.approx([entry[name] for entry in history])
    assert len(found["learning_rate"]) == 3


def test_a_missing_tensorboard_is_named_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    def log(line: str) -> None:
        raise AssertionError(line)

    with pytest.raises(MissingExtraError, match=r"nucleus-unet\[tensorboard\]"):
        train_bundle(TINY, FIELDS, tmp_path, device="cpu", workers=0, tensorboard=True, log=log)
    assert list(tmp_path.iterdir()) == []


def test_entries_of_a_longer_history_are_added_to_those_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    writer = ScalarWriter(tmp_path)
    history = [{"samples": 8.0, "train_loss": 0.5}]
    writer.write(history)
    writer.write([*history, {"samples": 16.0, "train_loss": 0.25}])
    writer.close()
    assert scalars(tmp_path) == {"train/loss": [(8, 0.5), (16, 0.25)]}
