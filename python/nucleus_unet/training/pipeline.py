"""From labelled images to a model bundle: hold out a fold, train, calibrate, measure, save."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nucleus_unet.bundle import BundleConfig, save_bundle
from nucleus_unet.devices import choose_device, choose_precision
from nucleus_unet.evaluation.metrics import score_image, summarise, summarise_by
from nucleus_unet.files import write_atomically
from nucleus_unet.grouping import GroupConfig, group
from nucleus_unet.plots import save_curves
from nucleus_unet.training.augment import Original
from nucleus_unet.training.dataset import Example
from nucleus_unet.training.folds import hold_out_images
from nucleus_unet.training.processes import is_first_process
from nucleus_unet.training.trainer import Run, TrainConfig, train
from nucleus_unet.training.validation import Predicted, calibrate, predict_examples, validate

logger = logging.getLogger(__name__)


def train_bundle(
    config: TrainConfig,
    examples: Sequence[Example],
    out: Path,
    *,
    folds: int = 10,
    hold_out: str | None = None,
    device: str = "auto",
    workers: int = 1,
    say: Callable[[str], object] = logger.info,
) -> dict[str, Any]:
    """Train on all folds but the first (or all kinds but one), choose the grouping on that one, and save a bundle.

    Checkpoint, ``curves.csv`` and ``curves.png`` go to ``out / "training"``. Calling it again goes on with a run that
    was stopped.

    Parameters
    ----------
    config
        Of the run.
    examples
        Labelled images.
    out
        Folder of the bundle.
    folds
        How many folds the images are dealt into.
    hold_out
        Hold out all images of this kind instead of a fold: what comes out is how good the model is on a kind of image
        that it never saw.
    device, workers
        See `nucleus_unet.training.trainer.train`.
    say
        Gets a line for every validation.

    Returns
    -------
    dict
        Figures on the held-out fold, as ``metrics.json`` has them. The grouping was chosen on the same images, so
        they flatter a little. Empty in all but the first of several processes, which only help it to train.
    """
    training, held_out = hold_out_images(examples, folds=folds, kind=hold_out, seed=config.seed)
    chosen_device = choose_device(device)
    precision = choose_precision(chosen_device, config.precision)
    folder = out / "training"

    def report(run: Run) -> None:
        write_curves(folder / "curves.csv", run.history)
        save_curves(folder / "curves.png", run.history)
        say(_line(run.history[-1], config.samples))

    network = train(
        config,
        training,
        folder,
        validate=lambda average: validate(predict_examples(average, held_out, precision), GroupConfig()),
        device=device,
        workers=workers,
        report=report,
    )
    if not is_first_process():
        return {}
    predicted = predict_examples(network.to(chosen_device), held_out, precision)
    grouping = calibrate(predicted, GroupConfig())
    metrics = {
        "training": {"images": len(training), "samples": config.samples, "seed": config.seed},
        "validation": measure(predicted, grouping),
    }
    diameters = [Original(example.image, example.labels).median_diameter for example in training]
    save_bundle(
        out,
        network.cpu(),
        BundleConfig(out.name, config.network, grouping, diameter=round(float(np.median(diameters)), 1)),
        metrics=metrics,
    )
    return metrics


def measure(predicted: Sequence[Predicted], grouping: GroupConfig) -> dict[str, Any]:
    """Return figures for all images and for each kind, as JSON types."""
    scores = [score_image(each.labels, group(each.maps, grouping).labels) for each in predicted]
    kinds = summarise_by([each.kind for each in predicted], scores)
    return {
        "overall": summarise(scores).to_json(),
        "kinds": {kind: figures.to_json() for kind, figures in kinds.items()},
    }


def write_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a run's history as a CSV table."""
    names = list(dict.fromkeys(name for entry in history for name in entry))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(path, text.getvalue())


def _line(entry: Mapping[str, float], samples: int) -> str:
    parts = [f"{entry['samples']:.0f}/{samples} samples", f"loss {entry['train_loss']:.4f}"]
    if "validation_loss" in entry:
        parts.append(f"validation loss {entry['validation_loss']:.4f}")
        parts.append(f"AP50 {entry['validation_pooled_ap50']:.3f}")
        parts.append(f"mean AP {entry['validation_pooled_mean_ap']:.3f}")
        parts.append(f"pixel accuracy {entry['validation_pixel_accuracy']:.4f}")
    parts.append(f"{entry['samples_per_second']:.1f} samples/s")
    return ", ".join(parts)
