"""The HTML page of a training run: metrics, pictures, curves and configuration. It is one file."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.error_tables import (
    IMAGE_HEADER,
    LEGENDS,
    error_pictures,
    error_rows,
    format_metric,
    image_rows,
)
from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import Scores, summarise, summarise_by
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.reports.page import render
from nucleus_unet.reports.plots import draw_curves
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.training.validation import MIN_CALIBRATION_NUCLEI

# The metric that selects the best entry of a history.
_BEST_BY = "validation_per_image_mean_ap"
_PICTURES_PER_HEADING = 3


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A finished training run.

    Attributes
    ----------
    config
        Configuration of the run.
    bundle
        The trained model.
    history
        Entries of the training history.
    training
        The training images.
    held_out
        The held-out images with their predictions.
    origin
        The model that was fine-tuned, else None. The first entry of the history has its metrics.
    device
        Device and precision of the network during training.
    command
        The command line. None if the run was started from Python.
    """

    config: TrainConfig
    bundle: Bundle
    history: Sequence[Mapping[str, float]]
    training: Sequence[Example]
    held_out: Sequence[EvaluatedImage]
    origin: Bundle | None
    device: str
    command: str | None


def training_report_html(run: TrainingRun) -> str:
    """Return the page of a training run."""
    scores = [image.score for image in run.held_out]
    overall, categories = summarise(scores), summarise_by([image.example.category for image in run.held_out], scores)
    best = max(run.history, key=lambda entry: entry[_BEST_BY])
    names = list(dict.fromkeys(name for entry in run.history for name in entry))
    return render(
        "training/report.html",
        title=f"{run.bundle.config.name}: training",
        run=run,
        overall=overall,
        best=best,
        last=run.history[-1],
        best_by=_BEST_BY,
        min_nuclei=MIN_CALIBRATION_NUCLEI,
        speed=np.median([entry["samples_per_second"] for entry in run.history if "samples_per_second" in entry]),
        metrics=[_metrics(name, scores) for name, scores in [("all", overall), *categories.items()]],
        legends=LEGENDS,
        pictures=[(heading, error_pictures(images)) for heading, images in _pictures(run.held_out)],
        error_rows=error_rows([("all", overall), *categories.items()]),
        charts=draw_curves(run.history, marked=best["samples"]),
        entry_header=[name.replace("_", " ") for name in names],
        entries=[[f"{entry[name]:.6g}" if name in entry else "" for name in names] for entry in run.history],
        packages={"torch": torch.__version__, "numpy": np.__version__, "Python": platform.python_version()},
        counts=_counts(run),
        image_header=IMAGE_HEADER,
        images=image_rows(run.held_out),
        config=_rows(plain(run.config)),
        grouping=_rows(run.bundle.config.grouping.to_json()),
    )


def _metrics(name: str, scores: Scores) -> list[object]:
    values = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
    values += [scores.per_image[0.5], scores.per_image_mean, scores.pixel_accuracy]
    return [name, *map(format_metric, values), scores.images, scores.truths, scores.predictions]


def _pictures(images: Sequence[EvaluatedImage]) -> list[tuple[str, Sequence[EvaluatedImage]]]:
    """Choose the best and the worst images without duplicates, preferably images with nuclei."""
    ranked = sorted(images, key=lambda each: (each.score.truths > 0, each.mean_average_precision), reverse=True)
    if len(ranked) == 1:
        return [("", ranked)]
    best = ranked[: min(_PICTURES_PER_HEADING, (len(ranked) + 1) // 2)]
    worst = sorted(ranked[len(best) :], key=lambda each: each.mean_average_precision)[:_PICTURES_PER_HEADING]
    return [("Best images", best), ("Worst images", worst)]


def _counts(run: TrainingRun) -> list[list[object]]:
    sets = [run.training, [image.example for image in run.held_out]]
    counts = [Counter(example.category for example in examples) for examples in sets]
    return [[category, *(count[category] for count in counts)] for category in sorted(set().union(*counts))]


def _rows(settings: Mapping[str, object], prefix: str = "") -> list[list[str]]:
    rows = []
    for name, value in settings.items():
        rows += _rows(value, f"{name}.") if isinstance(value, dict) else [[prefix + name, json.dumps(value)]]
    return rows
