"""From labelled images to a model bundle: hold out images, train, calibrate, evaluate, save, report."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nucleus_unet.data.dataset import Example
from nucleus_unet.data.folds import hold_out_images
from nucleus_unet.errors import SettingsError
from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import score_image, summarise, summarise_by
from nucleus_unet.inference.devices import choose_device
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.torch import TorchNetwork, choose_precision
from nucleus_unet.io.atomic import check_new_folder, write_atomically
from nucleus_unet.model.bundle import CONFIG, Bundle, BundleConfig, SeenImages, load_bundle, save_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import Network, weights_of
from nucleus_unet.reports.csv_table import csv_text
from nucleus_unet.reports.page import require_page_packages
from nucleus_unet.reports.plots import save_curves
from nucleus_unet.training.checkpoint import read_run_state
from nucleus_unet.training.distributed import is_main_process
from nucleus_unet.training.fine_tuning import fine_tuned_card, fine_tuned_config
from nucleus_unet.training.finishing import FinishedModel, finish_model
from nucleus_unet.training.report import TrainingRun, training_report_html
from nucleus_unet.training.source_image import SourceImage
from nucleus_unet.training.tensorboard import ScalarWriter
from nucleus_unet.training.trainer import CHECKPOINT, Run, TrainConfig, train
from nucleus_unet.training.validation import PredictedMaps, predict_examples, training_subset_metrics, validate

logger = logging.getLogger(__name__)

REPORT = "report.html"
# Approximate number of training images that are evaluated along with the held-out images.
_TRAINING_SUBSET_SIZE = 12


def train_bundle(
    config: TrainConfig,
    examples: Sequence[Example],
    out: Path,
    *,
    origin: Bundle | None = None,
    folds: int | None = None,
    hold_out: str | None = None,
    device: str = "auto",
    workers: int = 1,
    tensorboard: bool = False,
    command: str | None = None,
    log: Callable[[str], object] = logger.info,
    on_step: Callable[[int], object] = lambda _samples: None,
) -> dict[str, Any]:
    """Train a model with one fold or category held out, calibrate its grouping on the held-out images, and save it.

    The folder ``out / "training"`` gets the checkpoint, ``curves.csv``, ``curves.png`` and finally ``report.html``.
    Calling the function again resumes an interrupted run.

    Parameters
    ----------
    config
        Configuration of the run.
    examples
        Labelled images.
    out
        Folder of the bundle.
    origin
        The model to fine-tune. `nucleus_unet.training.fine_tuning.fine_tuning_config` returns a configuration for it.
    folds
        Number of folds, of which the first is held out. See `hold_out_images` for None.
    hold_out
        Category to hold out instead of a fold. The metrics are then those on a category without training images.
    device, workers
        See `nucleus_unet.training.trainer.train`.
    tensorboard
        Write the history for TensorBoard too, to ``out / "training" / "tensorboard"``.
    command
        The command line, for the report.
    log
        Called with a line of text after every validation.
    on_step
        See `nucleus_unet.training.trainer.train`.

    Returns
    -------
    dict
        Metrics on the held-out images, as in ``metrics.json``. They are optimistically biased if the grouping was
        calibrated on the same images. The dict is empty in all processes but the main one.

    Raises
    ------
    SettingsError
        ``out`` contains a model that was not trained there, or `nucleus_unet.training.trainer.train` raises this error.
    MissingExtraError
        matplotlib or Jinja2 is missing, or TensorBoard is requested and missing.
    """
    require_page_packages()
    if (out / CONFIG).exists() and not (out / "training" / CHECKPOINT).exists():
        raise SettingsError(f"out: {out} contains a model that was not trained there: choose another folder")
    if not (out / "training").exists():
        check_new_folder(out, "the model bundle")
    training, held_out = hold_out_images(examples, folds=folds, category=hold_out, seed=config.seed)
    training_subset = training[:: math.ceil(len(training) / _TRAINING_SUBSET_SIZE)]
    chosen_device = torch.device(choose_device(device))
    precision = choose_precision(chosen_device, config.precision)
    grouping = GroupConfig() if origin is None else origin.config.grouping
    folder = out / "training"

    def measure(network: Network) -> dict[str, float]:
        engine = TorchNetwork(network, chosen_device, precision)
        metrics = validate(predict_examples(engine, held_out), grouping)
        return metrics | training_subset_metrics(predict_examples(engine, training_subset), grouping)

    with closing(ScalarWriter(folder / "tensorboard")) if tensorboard else nullcontext() as scalars:

        def report(run: Run) -> None:
            write_atomically(folder / "curves.csv", csv_text(run.history))
            save_curves(folder / "curves.png", run.history)
            if scalars is not None:
                scalars.write(run.history)
            log(_line(run.history[-1], config.samples))

        network = train(
            config,
            training,
            folder,
            origin=origin,
            validate=measure,
            device=device,
            workers=workers,
            report=report,
            on_step=on_step,
        )
    if not is_main_process():
        return {}
    bundle_config = _bundle_config(out.name, config, training, origin)
    finished = finish_model(bundle_config, weights_of(network), training, held_out, seed=config.seed)
    images = evaluate_predictions(finished.predicted, finished.bundle.config.grouping)
    history = read_run_state(folder / CHECKPOINT)["history"]
    metrics = _metrics(config, training, images, finished, origin, history)
    card = "" if origin is None else fine_tuned_card(out.name, origin, images=len(training), samples=config.samples)
    save_bundle(replace(finished.bundle, metrics=metrics, card=card), out)
    run = TrainingRun(
        config=config,
        bundle=load_bundle(out),
        history=history,
        training=training,
        held_out=images,
        origin=origin,
        device=f"{chosen_device}, {precision}",
        command=command,
    )
    write_atomically(folder / REPORT, training_report_html(run))
    return metrics


def evaluate_predictions(predicted: Sequence[PredictedMaps], grouping: GroupConfig) -> list[EvaluatedImage]:
    """Group the predicted maps of each image, and score the nuclei.

    Parameters
    ----------
    predicted
        Predicted maps of labelled images.
    grouping
        Settings of the grouping.
    """
    images = []
    for each in predicted:
        example, labels = each.example, group(each.maps, grouping).labels
        images.append(EvaluatedImage(example, labels, score_image(example.labels, labels, example.valid)))
    return images


def _metrics(
    config: TrainConfig,
    training: Sequence[Example],
    images: Sequence[EvaluatedImage],
    finished: FinishedModel,
    origin: Bundle | None,
    history: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    scores = [image.score for image in images]
    categories = summarise_by([image.example.category for image in images], scores)
    metrics: dict[str, Any] = {
        "training": {"images": len(training), "samples": config.samples, "seed": config.seed},
        "validation": {
            "overall": summarise(scores).to_json(),
            "categories": {category: summary.to_json() for category, summary in categories.items()},
        },
        "precisions": {precision: scores.to_json() for precision, scores in finished.scores.items()},
    }
    known = SeenImages() if origin is None else origin.seen
    if origin is None or known.training:  # otherwise the list would be incomplete: the origin's images are unknown
        metrics["seen"] = SeenImages(
            training=known.training | {example.digest for example in training},
            choice=known.choice | {image.example.digest for image in images},
        ).to_json()
    if origin is not None:
        before = {name: round(value, 5) for name, value in history[0].items() if name.startswith("validation_")}
        metrics["origin"] = {"name": origin.config.name, "fingerprint": origin.fingerprint, **before}
    return metrics


def _bundle_config(name: str, config: TrainConfig, training: Sequence[Example], origin: Bundle | None) -> BundleConfig:
    diameters = [SourceImage(example.image, example.labels).median_diameter for example in training]
    made = BundleConfig(name, config.network, diameter=round(float(np.median(diameters)), 1))
    return made if origin is None else fine_tuned_config(made, origin)


def _line(entry: Mapping[str, float], samples: int) -> str:
    parts = [f"{entry['samples']:.0f}/{samples} samples"]
    if "train_loss" in entry:  # the entry of the origin, before fine-tuning, has no training loss
        parts.append(f"loss {entry['train_loss']:.4f}")
    parts.append(f"validation loss {entry['validation_loss']:.4f}")
    parts.append(f"AP50 {entry['validation_pooled_ap50']:.3f}")
    parts.append(f"mean AP {entry['validation_pooled_mean_ap']:.3f}")
    parts.append(f"pixel accuracy {entry['validation_pixel_accuracy']:.4f}")
    if "samples_per_second" in entry:
        parts.append(f"{entry['samples_per_second']:.1f} samples/s")
    return ", ".join(parts)
