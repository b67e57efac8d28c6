"""From trained weights to a model: quantisation, calibration of the grouping, and scores on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.inference.devices import openvino_is_installed
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.graph import Weights, stride
from nucleus_unet.model.precision import Precision
from nucleus_unet.model.quantisation import Quantisation
from nucleus_unet.training.validation import PredictedMaps, calibrate, has_enough_nuclei, predict_examples, score_maps

# Maximum losses of average precision on held-out images with which int8 is the default on CPUs. The limit at an IoU of
# 0.9 is higher, as single pixels of the outlines decide there.
_MAX_LOSS, _MAX_LOSS_AT_90 = 0.003, 0.006


@dataclass(frozen=True)
class FinishedModel:
    """A model with its predictions on the held-out images.

    Attributes
    ----------
    bundle
        The model, without metrics, card and fingerprint, as it is not saved yet.
    predicted
        Predictions for each held-out image, in the model's default precision.
    scores : dict of str to Scores
        Scores of all held-out images, in each precision.
    """

    bundle: Bundle
    predicted: list[PredictedMaps]
    scores: dict[Precision, Scores]


def finish_model(
    config: BundleConfig, weights: Weights, training: Sequence[Example], held_out: Sequence[Example], *, seed: int
) -> FinishedModel:
    """Quantise the weights, calibrate the grouping, and score the held-out images.

    The activation ranges of the int8 form are measured on training images. Without OpenVINO there is no int8 form. The
    grouping is calibrated and int8 may become the default only if there are enough held-out nuclei.

    Parameters
    ----------
    config
        Configuration of the model. The calibration starts from its grouping.
    weights
        Trained weights, from `nucleus_unet.model.network.weights_of`.
    training, held_out
        The training images and the held-out images.
    seed
        Seed of the crops on which activation ranges are measured.
    """
    # A bundle stores weights in half precision, and its figures are those of the stored weights.
    weights = {name: weight.astype(np.float16).astype(np.float32) for name, weight in weights.items()}
    quantisation = _quantise(config, weights, training, seed) if openvino_is_installed() else None
    bundle = Bundle(config, weights, quantisation, fingerprint="", metrics={})
    precisions: tuple[Precision, ...] = ("float32",) if quantisation is None else ("float32", "int8")
    predicted = {
        precision: predict_examples(open_engine(bundle, device="cpu", precision=precision), held_out)
        for precision in precisions
    }
    enough = has_enough_nuclei(predicted["float32"])
    grouping = calibrate(predicted["float32"], config.grouping) if enough else config.grouping
    scores = {precision: score_maps(each, grouping) for precision, each in predicted.items()}
    is_default = enough and "int8" in scores and is_nearly_as_good(scores["float32"], scores["int8"])
    return FinishedModel(
        replace(bundle, config=replace(config.with_grouping(grouping), int8_is_default=is_default)),
        predicted["int8" if is_default else "float32"],
        scores,
    )


def is_nearly_as_good(exact: Scores, quantised: Scores) -> bool:
    """Return whether the loss of average precision by int8 on held-out images is within its limits."""
    lost = {threshold: exact.pooled[threshold] - quantised.pooled[threshold] for threshold in (0.5, 0.75, 0.9)}
    lost_mean = exact.per_image_mean - quantised.per_image_mean
    return max(lost[0.5], lost[0.75], lost_mean) <= _MAX_LOSS and lost[0.9] <= _MAX_LOSS_AT_90


def _quantise(config: BundleConfig, weights: Weights, training: Sequence[Example], seed: int) -> Quantisation:
    from nucleus_unet.training.post_training_quantisation import calibration_crops, quantise  # needs OpenVINO

    crops = calibration_crops([example.image for example in training], stride(config.network), seed=seed)
    return quantise(config.network, weights, crops)
