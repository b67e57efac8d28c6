"""From labelled images to a model bundle: hold out a fold, train, calibrate, measure, save, report."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
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
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.model.bundle import CONFIG, Bundle, BundleConfig, SeenImages, load_bundle, save_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import Network, weights_of
from nucleus_unet.reports.plots import require_matplotlib, save_curves
from nucleus_unet.training.augmentation import SourceImage
from nucleus_unet.training.checkpoint import read_facts
from nucleus_unet.training.distributed import is_first_process
from nucleus_unet.training.fine_tuning import fine_tuned_card, fine_tuned_config
from nucleus_unet.training.finishing import Finished, finish
from nucleus_unet.training.report import TrainingRun, report_html
from nucleus_unet.training.tensorboard import ScalarWriter
from nucleus_unet.training.trainer import CHECKPOINT, Run, TrainConfig, train
from nucleus_unet.training.validation import Predicted, predict_examples, validate, watch

logger = logging.getLogger(__name__)

REPORT = "report.html"
# About so many training images are looked at whole beside the held-out ones.
_WATCHED = 12


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
    say: Callable[[str], object] = logger.info,
) -> dict[str, Any]:
    """Train on all folds but the first (or all kinds but one), choose the grouping on that one, and save a bundle.

    Checkpoint, ``curves.csv``, ``curves.png`` and, at the end, ``report.html`` go to ``out / "training"``. Calling it
    again goes on with a run that was stopped.

    Parameters
    ----------
    config
        Of the run.
    examples
        Labelled images.
    out
        Folder of the bundle.
    origin
        A model to fine-tune; `nucleus_unet.training.fine_tuning.fine_tuning` gives the configuration that suits it.
    folds
        How many folds the images are dealt into; see `hold_out_images` for None.
    hold_out
        Hold out all images of this kind instead of a fold: what comes out is how good the model is on a kind of image
        that it never saw.
    device, workers
        See `nucleus_unet.training.trainer.train`.
    tensorboard
        Write the history for TensorBoard too, to ``out / "training" / "tensorboard"``.
    command
        How the run was asked for, for the report to tell.
    say
        Gets a line for every validation.

    Returns
    -------
    dict
        Figures on the held-out fold, as ``metrics.json`` has them. Where the grouping was chosen on the same images
        they flatter a little. Empty in all but the first of several processes, which only help it to train.

    Raises
    ------
    SettingsError
        There is a model at ``out`` that was not trained there, or what `nucleus_unet.training.trainer.train` refuses.
    MissingExtraError
        matplotlib, or TensorBoard where it is asked for, is missing.
    """
    require_matplotlib()
    if (out / CONFIG).exists() and not (out / "training" / CHECKPOINT).exists():
        raise SettingsError(f"out: {out} holds a model that was not trained there, and is kept: choose a new folder")
    training, held_out = hold_out_images(examples, folds=folds, kind=hold_out, seed=config.seed)
    watched = training[:: math.ceil(len(training) / _WATCHED)]
    chosen_device = torch.device(choose_device(device))
    precision = choose_precision(chosen_device, config.precision)
    grouping = GroupConfig() if origin is None else origin.config.group
    folder = out / "training"

    def look(network: Network) -> dict[str, float]:
        shown = TorchNetwork(network, chosen_device, precision)
        figures = validate(predict_examples(shown, held_out), grouping)
        return figures | watch(predict_examples(shown, watched), grouping)

    with closing(ScalarWriter(folder / "tensorboard")) if tensorboard else nullcontext() as scalars:

        def report(run: Run) -> None:
            write_curves(folder / "curves.csv", run.history)
            save_curves(folder / "curves.png", run.history)
            if scalars is not None:
                scalars.write(run.history)
            say(_line(run.history[-1], config.samples))

        network = train(
            config, training, folder, origin=origin, validate=look, device=device, workers=workers, report=report
        )
    if not is_first_process():
        return {}
    bundle_config = _bundle_config(out.name, config, grouping, training, origin)
    finished = finish(bundle_config, weights_of(network), training, held_out, seed=config.seed)
    images = compare(held_out, finished.predicted, finished.bundle.config.group)
    history = read_facts(folder / CHECKPOINT)["history"]
    metrics = _metrics(config, training, images, finished, origin, history)
    card = None if origin is None else fine_tuned_card(out.name, origin, images=len(training), samples=config.samples)
    bundle = finished.bundle
    save_bundle(out, bundle.weights, bundle.config, quantisation=bundle.quantisation, metrics=metrics, card=card)
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
    write_atomically(folder / REPORT, report_html(run))
    return metrics


def compare(examples: Sequence[Example], predicted: Sequence[Predicted], grouping: GroupConfig) -> list[EvaluatedImage]:
    """Group what the network said of each image, and score it against the truth."""
    images = []
    for example, each in zip(examples, predicted, strict=True):
        labels = group(each.maps, grouping).labels
        images.append(EvaluatedImage(example, labels, score_image(example.labels, labels)))
    return images


def _metrics(
    config: TrainConfig,
    training: Sequence[Example],
    images: Sequence[EvaluatedImage],
    finished: Finished,
    origin: Bundle | None,
    history: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    scores = [image.score for image in images]
    kinds = summarise_by([image.example.kind for image in images], scores)
    metrics: dict[str, Any] = {
        "training": {"images": len(training), "samples": config.samples, "seed": config.seed},
        "validation": {
            "overall": summarise(scores).to_json(),
            "kinds": {kind: figures.to_json() for kind, figures in kinds.items()},
        },
        "precisions": {precision: scores.to_json() for precision, scores in finished.scores.items()},
    }
    known = SeenImages() if origin is None else origin.seen
    if origin is None or known.training:  # else a part of what the model knows would pass for all of it
        metrics["seen"] = SeenImages(
            training=known.training | {example.digest for example in training},
            choice=known.choice | {image.example.digest for image in images},
        ).to_json()
    if origin is not None:
        before = {name: round(value, 5) for name, value in history[0].items() if name.startswith("validation_")}
        metrics["origin"] = {"name": origin.config.name, "fingerprint": origin.fingerprint, **before}
    return metrics


def _bundle_config(
    name: str, config: TrainConfig, grouping: GroupConfig, training: Sequence[Example], origin: Bundle | None
) -> BundleConfig:
    diameters = [SourceImage(example.image, example.labels).median_diameter for example in training]
    made = BundleConfig(name, config.network, grouping, diameter=round(float(np.median(diameters)), 1))
    return made if origin is None else fine_tuned_config(made, origin)


def write_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a run's history as a CSV table."""
    names = list(dict.fromkeys(name for entry in history for name in entry))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(path, text.getvalue())


def _line(entry: Mapping[str, float], samples: int) -> str:
    parts = [f"{entry['samples']:.0f}/{samples} samples"]
    if "train_loss" in entry:  # not so in the entry of a model that is to be fine-tuned
        parts.append(f"loss {entry['train_loss']:.4f}")
    parts.append(f"validation loss {entry['validation_loss']:.4f}")
    parts.append(f"AP50 {entry['validation_pooled_ap50']:.3f}")
    parts.append(f"mean AP {entry['validation_pooled_mean_ap']:.3f}")
    parts.append(f"pixel accuracy {entry['validation_pixel_accuracy']:.4f}")
    if "samples_per_second" in entry:
        parts.append(f"{entry['samples_per_second']:.1f} samples/s")
    return ", ".join(parts)
