"""From trained weights to a model: its int8 form, how its maps are grouped, and what it is worth on held-out images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.inference.devices import openvino_is_installed
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.graph import Weights, stride
from nucleus_unet.model.precision import Precision
from nucleus_unet.model.quantisation import Quantisation
from nucleus_unet.training.validation import Predicted, calibrate, has_enough_nuclei, predict_examples, scores_with

# By how much int8 may be worse than single precision on held-out images and still be what CPUs compute in. A tight IoU
# is decided by single pixels of outlines.
_MAY_LOSE, _MAY_LOSE_AT_90 = 0.003, 0.006


@dataclass(frozen=True)
class Finished:
    """A model, and what it says of the held-out images.

    Attributes
    ----------
    bundle
        Without metrics, card and fingerprint: no file of it is there yet.
    predicted
        Of each held-out image, in the model's default precision.
    scores : dict of str to Scores
        Of all held-out images, in each precision.
    """

    bundle: Bundle
    predicted: list[Predicted]
    scores: dict[Precision, Scores]


def finish(
    config: BundleConfig, weights: Weights, training: Sequence[Example], held_out: Sequence[Example], *, seed: int
) -> Finished:
    """Make a model of trained weights.

    Ranges of the int8 form are measured on training images; where there is no OpenVINO, there is no such form.
    Grouping is calibrated, and int8 made the default, only where there are enough held-out nuclei to tell that it is
    right.

    Parameters
    ----------
    config
        Of the model; its grouping is where the calibration begins.
    weights
        From `nucleus_unet.model.network.weights_of`.
    training, held_out
        Images that it was trained on, and those that it was not.
    seed
        Of the crops on which ranges are measured.
    """
    quantisation = _quantise(config, weights, training, seed) if openvino_is_installed() else None
    bundle = Bundle(config, weights, quantisation, fingerprint="", metrics={})
    precisions: tuple[Precision, ...] = ("float32",) if quantisation is None else ("float32", "int8")
    predicted = {
        precision: predict_examples(open_engine(bundle, device="cpu", precision=precision), held_out)
        for precision in precisions
    }
    enough = has_enough_nuclei(predicted["float32"])
    grouping = calibrate(predicted["float32"], config.group) if enough else config.group
    scores = {precision: scores_with(each, grouping) for precision, each in predicted.items()}
    is_default = enough and "int8" in scores and loses_little(scores["float32"], scores["int8"])
    return Finished(
        replace(bundle, config=replace(config, group=grouping, int8_is_default=is_default)),
        predicted["int8" if is_default else "float32"],
        scores,
    )


def loses_little(exact: Scores, quantised: Scores) -> bool:
    """Whether int8 loses no more than it may of the average precision on held-out images."""
    lost = {threshold: exact.pooled[threshold] - quantised.pooled[threshold] for threshold in (0.5, 0.75, 0.9)}
    lost_mean = exact.per_image_mean - quantised.per_image_mean
    return max(lost[0.5], lost[0.75], lost_mean) <= _MAY_LOSE and lost[0.9] <= _MAY_LOSE_AT_90


def _quantise(config: BundleConfig, weights: Weights, training: Sequence[Example], seed: int) -> Quantisation:
    from nucleus_unet.training.post_training_quantisation import calibration_crops, quantise  # needs OpenVINO

    crops = calibration_crops([example.image for example in training], stride(config.network), seed=seed)
    return quantise(config.network, weights, crops)
