"""Validation during training, and calibration of the grouping."""

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
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.inference.predict import maps_of_output, padded_size, read_padded
from nucleus_unet.inference.tiles import Span, Tile
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.targets import targets
from nucleus_unet.preprocessing.levels import normalise_image
from nucleus_unet.training.validation_loss import validation_loss


@dataclass(frozen=True)
class PredictedMaps:
    """Predicted maps of a labelled image.

    Attributes
    ----------
    example
        The image.
    maps : NDArray[np.uint8] (h, w, 4)
        Predicted maps, the input of the grouping, at the scale.
    loss
        Loss of the network's output, with the standard loss weights. NaN if it was not measured.
    scale
        Magnification from the image to what the network saw.
    """

    example: Example
    maps: NDArray[np.uint8]
    loss: float
    scale: float = 1.0

    def on_image(self, labels: NDArray[np.uint32], config: GroupConfig) -> NDArray[np.uint32]:
        """Return labels that were grouped from the maps on the pixels of the image, with the same numbers."""
        if self.scale == 1:
            return labels
        shape, foreground = (self.example.labels.shape[0], self.example.labels.shape[1]), self.maps[..., 0]
        return scale_labels(labels, foreground, shape, self.scale, threshold=config.foreground_threshold)


def predict_examples(network: Predictor, examples: Sequence[Example]) -> list[PredictedMaps]:
    """Run the network on whole images, one by one.

    Parameters
    ----------
    network
        An engine, or a network in training.
    examples
        Labelled images.

    Returns
    -------
    list of PredictedMaps
        Maps and loss of each image.
    """
    return [_predict(network, example) for example in examples]


def _predict(network: Predictor, example: Example) -> PredictedMaps:
    height, width = example.labels.shape
    output = network.run(padded_image(example.image, network.stride)[None])[0, :, :height, :width]
    loss = validation_loss(output, targets(example.labels), example.valid)
    return PredictedMaps(example, maps_of_output(output), loss)


def padded_image(image: NDArray[Any], stride: int) -> NDArray[np.float32]:
    """Return an image as input of the network: normalised, (h, w, 3), padded to multiples of the stride."""
    height, width = image.shape[:2]
    normalised = normalise_image(image)
    rows, columns = padded_size((height, width), stride)
    whole = Tile(Span(0, rows, 0, rows), Span(0, columns, 0, columns))
    return read_padded(lambda rows, columns: normalised[rows, columns], (height, width), whole)


def validate(predicted: Sequence[PredictedMaps], config: GroupConfig) -> dict[str, float]:
    """Return loss, pixel accuracy and average precision in both conventions, for an entry of the training history."""
    scores = score_maps(predicted, config)
    return {
        "validation_loss": float(np.mean([each.loss for each in predicted])),
        "validation_pixel_accuracy": scores.pixel_accuracy,
        "validation_pooled_ap50": scores.pooled[0.5],
        "validation_pooled_mean_ap": scores.pooled_mean,
        "validation_per_image_ap50": scores.per_image[0.5],
        "validation_per_image_mean_ap": scores.per_image_mean,
    }


def training_subset_metrics(predicted: Sequence[PredictedMaps], config: GroupConfig) -> dict[str, float]:
    """Return the average precision on a subset of the training images, for an entry of the training history.

    A value far above that on held-out images indicates overfitting.
    """
    scores = score_maps(predicted, config)
    return {"train_pooled_ap50": scores.pooled[0.5], "train_pooled_mean_ap": scores.pooled_mean}


def score_maps(predicted: Sequence[PredictedMaps], config: GroupConfig) -> Scores:
    """Group the maps with these settings, and return the scores."""
    return summarise([_score(each, config) for each in predicted])


def _score(predicted: PredictedMaps, config: GroupConfig) -> ImageScore:
    labels = predicted.on_image(group(predicted.maps, config).labels, config)
    return score_image(predicted.example.labels, labels, predicted.example.valid)


# Candidate values of each setting. The most important settings come first.
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
    "min_quality": (0.3, 0.35, 0.4, 0.42, 0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56, 0.6),
}
_ROUNDS = 2
MIN_CALIBRATION_NUCLEI = 500
"""Minimum number of nuclei for a calibration. With fewer nuclei, the grouping overfits: in 60 draws of 8 to 528 nuclei
of one category, the gain in `_calibration_objective` was 0.037 on these images and 0.003 on other images of the
category."""


def has_enough_nuclei(predicted: Sequence[PredictedMaps]) -> bool:
    """Return whether these images have enough nuclei for a calibration of the grouping."""
    return sum(int(np.count_nonzero(np.unique(each.example.labels))) for each in predicted) >= MIN_CALIBRATION_NUCLEI


def calibrate(
    predicted: Sequence[PredictedMaps],
    start: GroupConfig,
    *,
    names: Sequence[str] | None = None,
    track: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> GroupConfig:
    """Search the settings of the grouping that are best on validation images.

    The method is a coordinate search: one setting is varied at a time, in two rounds. The objective is the mean of the
    average precision at IoU 0.50 and of the average precision over 0.50 to 0.95. It is averaged over the images of each
    category, and over the categories, weighted by the square root of their number of images.

    Parameters
    ----------
    predicted
        Predictions from `predict_examples`.
    start
        Initial settings. If they have the function for the quality of nuclei, the least quality is searched, else the
        least mean foreground probability.
    names
        The settings to search. None: all.
    track
        Called with the names of the settings in each round. Returns an iterable of them that shows progress.

    Returns
    -------
    GroupConfig
        The best settings.
    """
    without_effect = "min_quality" if start.quality is None else "min_score"
    searched = [name for name in _CANDIDATES if name != without_effect] if names is None else names
    best, best_value = start, _calibration_objective(predicted, start)
    for _ in range(_ROUNDS):
        before = best
        for name in track(searched):
            for value in _CANDIDATES[name]:
                config = GroupConfig.from_json({**best.to_json(), name: value})
                objective = _calibration_objective(predicted, config)
                if objective > best_value:
                    best, best_value = config, objective
        if best == before:
            break
    return best


def _calibration_objective(predicted: Sequence[PredictedMaps], config: GroupConfig) -> float:
    categories = defaultdict(list)
    for each in predicted:
        precision = _score(each, config).average_precision
        categories[each.example.category].append((precision[0] + float(np.mean(precision))) / 2)
    weights = {category: math.sqrt(len(values)) for category, values in categories.items()}
    total = sum(weights[category] * float(np.mean(values)) for category, values in categories.items())
    return total / sum(weights.values())
