"""How good the network is in the middle of training, and how its maps are best grouped."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.metrics import ImageScore, Scores, score_image, summarise
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import maps_of_output, padded_size, read_padded
from nucleus_unet.inference.tiles import Span, Tile
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import targets
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range
from nucleus_unet.training.validation_loss import validation_loss


@dataclass(frozen=True)
class Predicted:
    """What the network said of a validation image: its maps, its loss, and the truth beside them."""

    kind: str
    maps: NDArray[np.uint8]
    labels: NDArray[np.uint32]
    loss: float


def predict_examples(network: Predictor, examples: Sequence[Example]) -> list[Predicted]:
    """Run the network on whole images, one by one.

    Parameters
    ----------
    network
        An engine, or a network in training.
    examples
        Images with their nuclei.
    """
    return [_predict(network, example) for example in examples]


def _predict(network: Predictor, example: Example) -> Predicted:
    height, width = example.labels.shape
    output = network.run(padded_image(example.image, network.stride)[None])[0, :, :height, :width]
    loss = validation_loss(output, targets(example.labels))
    return Predicted(example.kind, maps_of_output(output), example.labels, loss)


def padded_image(image: NDArray[Any], stride: int) -> NDArray[np.float32]:
    """Return an image as the network is shown it: (h, w, 3), normalised, of a size that fits the stride."""
    height, width = image.shape[:2]
    levels = percentile_range(image)
    normalised = normalise(image, levels) if levels else np.zeros(image.shape, np.float32)
    rows, columns = padded_size((height, width), stride)
    whole = Tile(Span(0, rows, 0, rows), Span(0, columns, 0, columns))
    return read_padded(lambda rows, columns: normalised[rows, columns], (height, width), whole)


def validate(predicted: Sequence[Predicted], config: GroupConfig) -> dict[str, float]:
    """Return loss, pixel accuracy and average precision in both conventions, as entries of a run's history."""
    scores = scores_with(predicted, config)
    return {
        "validation_loss": float(np.mean([each.loss for each in predicted])),
        "validation_pixel_accuracy": scores.pixel_accuracy,
        "validation_pooled_ap50": scores.pooled[0.5],
        "validation_pooled_mean_ap": scores.pooled_mean,
        "validation_per_image_ap50": scores.per_image[0.5],
        "validation_per_image_mean_ap": scores.per_image_mean,
    }


def watch(predicted: Sequence[Predicted], config: GroupConfig) -> dict[str, float]:
    """Return the average precision on some training images, as entries of a run's history.

    Far above that on held-out images, it tells of a network that knows its images by heart.
    """
    scores = scores_with(predicted, config)
    return {"train_pooled_ap50": scores.pooled[0.5], "train_pooled_mean_ap": scores.pooled_mean}


def scores_with(predicted: Sequence[Predicted], config: GroupConfig) -> Scores:
    """Return the figures of validation images whose maps are grouped like that."""
    return summarise([_score(each, config) for each in predicted])


def _score(predicted: Predicted, config: GroupConfig) -> ImageScore:
    return score_image(predicted.labels, group(predicted.maps, config).labels)


# What is tried for each setting, one setting after another, the rest held: the settings that matter first.
_CANDIDATES: dict[str, tuple[float, ...]] = {
    "foreground_threshold": (0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
    "centre_threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    "min_score": (0.5, 0.6, 0.7, 0.75, 0.8, 0.85),
    "min_peak": (0.0, 0.2, 0.3, 0.4, 0.5),
    "merge_dip": (0.0, 0.05, 0.1, 0.15, 0.2, 0.3),
    "merge_distance": (0.0, 6.0, 9.0, 12.0, 16.0, 20.0),
    "centre_sigma": (0.0, 1.0, 1.5, 2.0, 2.5),
    "window": (2, 3, 4, 5),
    "min_area": (0, 10, 15, 20, 30),
}
_ROUNDS = 2
LEAST_NUCLEI = 500
"""Chosen on fewer, a grouping suits their chance features: in 60 draws of 8 to 528 nuclei of one kind, it gained
.037 on those and .003 on other images of the kind, in what `_figure` says."""


def has_enough_nuclei(predicted: Sequence[Predicted]) -> bool:
    """Tell whether a grouping that is best on these images is likely to be better on others too."""
    return sum(len(np.unique(each.labels[each.labels > 0])) for each in predicted) >= LEAST_NUCLEI


def calibrate(
    predicted: Sequence[Predicted],
    start: GroupConfig,
    *,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> GroupConfig:
    """Choose how maps are grouped by what is best on validation images.

    One setting is varied at a time, twice round. The figure to be best in is the mean of the average precision at
    .50 and over .50 to .95, mean over a kind's images, kinds weighed by the root of their number of images.

    Parameters
    ----------
    predicted
        From `predict_examples`.
    start
        Where the search begins.
    track
        Wraps the names of the settings in each round, to show progress.
    """
    best, best_figure = start, _figure(predicted, start)
    for _ in range(_ROUNDS):
        before = best
        for name in track(list(_CANDIDATES)):
            for value in _CANDIDATES[name]:
                config = GroupConfig.from_json({**best.to_json(), name: value})
                figure = _figure(predicted, config)
                if figure > best_figure:
                    best, best_figure = config, figure
        if best == before:
            break
    return best


def _figure(predicted: Sequence[Predicted], config: GroupConfig) -> float:
    kinds = defaultdict(list)
    for each in predicted:
        precision = _score(each, config).average_precision
        kinds[each.kind].append((precision[0] + float(np.mean(precision))) / 2)
    weights = {kind: math.sqrt(len(figures)) for kind, figures in kinds.items()}
    total = sum(weights[kind] * float(np.mean(figures)) for kind, figures in kinds.items())
    return total / sum(weights.values())
