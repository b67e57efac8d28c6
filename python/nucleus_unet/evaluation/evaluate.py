"""Evaluate a model on a labelled set: scores of all images, of each category, of each field and of chosen subsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.annotated import counted_predictions
from nucleus_unet.evaluation.metrics import THRESHOLDS, ImageScore, Scores, score_image, summarise, summarise_by
from nucleus_unet.evaluation.subsets import find_members
from nucleus_unet.inference.scale_log import without_log_of_images
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.wording import counted


@dataclass(frozen=True, eq=False)
class EvaluatedImage:
    """An image, its prediction and its score.

    Attributes
    ----------
    example
        The image and its true nuclei.
    prediction : NDArray[np.uint32] (H, W)
        Predicted label image, with predictions that do not count.
    score
        Score of the prediction.
    """

    example: Example
    prediction: NDArray[np.uint32]
    score: ImageScore

    @property
    def counted(self) -> NDArray[np.uint32]:
        """Predicted label image of the predictions that count. See `Example.valid`."""
        example = self.example
        if example.valid is None:
            return self.prediction
        return counted_predictions(example.labels, self.prediction, example.valid).astype(np.uint32)

    @property
    def mean_average_precision(self) -> float:
        """Average precision, mean over the IoU thresholds 0.50 to 0.95."""
        return float(np.mean(self.score.average_precision))

    def to_row(self) -> dict[str, str | int | float]:
        """Return names, counts and metrics as a row of a table. Metrics are rounded to five digits."""
        score = self.score
        height, width = self.prediction.shape
        metrics = {
            **{f"ap_{t:.2f}": value for t, value in zip(THRESHOLDS, score.average_precision, strict=True)},
            "mean_ap": self.mean_average_precision,
            **{f"f1_{t:.2f}": value for t, value in zip(THRESHOLDS, score.f1, strict=True)},
            **dict(zip(("pq", "sq", "rq"), score.panoptic_quality, strict=True)),
            "aji": score.aggregated_jaccard,
            "pixel_accuracy": score.pixel_accuracy,
        }
        return {
            "name": self.example.name,
            "category": self.example.category,
            "field_id": self.example.field_id,
            "height": height,
            "width": width,
            "truths": score.truths,
            "predictions": score.predictions,
            **{name: round(value, 5) for name, value in metrics.items()},
            **asdict(score.errors),
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a labelled set.

    Attributes
    ----------
    model, fingerprint
        Name of the bundle, and SHA-256 of its configuration and weights.
    augment
        Whether predictions were averaged over rotations and reflections.
    training_images, calibration_images
        Number of images on which the model was trained, and on which its settings were chosen, as recorded in its
        bundle. The scores of these images are optimistically biased.
    overall
        Scores of all images.
    subsets : dict of str to Scores
        Scores of each chosen subset.
    categories : dict of str to Scores
        Scores of each category.
    fields : dict of str to Scores
        Scores of each field or patient with several images.
    images : list of EvaluatedImage
        The images, in the order given.
    """

    model: str
    fingerprint: str
    augment: bool
    training_images: int
    calibration_images: int
    overall: Scores
    subsets: dict[str, Scores]
    categories: dict[str, Scores]
    fields: dict[str, Scores]
    images: list[EvaluatedImage]

    @property
    def warning(self) -> str:
        """A warning if the model was trained or calibrated on some of the images, else an empty string."""
        uses = {"was trained on": self.training_images, "had its settings chosen on": self.calibration_images}
        text = " and ".join(f"{use} {count}" for use, count in uses.items() if count)
        images = counted(len(self.images), "image")
        return text and f"Of {images}, the model {text}: its scores are optimistically biased."

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON types."""
        groups = {"subsets": self.subsets, "categories": self.categories, "fields": self.fields}
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "augment": self.augment,
            "training_images": self.training_images,
            "calibration_images": self.calibration_images,
            "overall": self.overall.to_json(),
            **{name: {each: scores.to_json() for each, scores in group.items()} for name, group in groups.items()},
            "images": [image.to_row() for image in self.images],
        }


def evaluate(
    segmenter: Segmenter,
    examples: Sequence[Example],
    *,
    subsets: Mapping[str, Collection[str]] | None = None,
    augment: bool = False,
    track: Callable[[Sequence[Example]], Iterable[Example]] = iter,
) -> Evaluation:
    """Predict every image with the model's own settings, and score the predictions.

    Parameters
    ----------
    segmenter
        The model.
    examples
        Labelled images.
    subsets
        Names of the images of each subset, by the name of the subset. Each subset gets its own scores.
    augment
        Average predictions over rotations and reflections. See `Segmenter.predict`.
    track
        Called with the examples. Returns an iterable of them that shows progress.

    Returns
    -------
    Evaluation
        The scores.

    Raises
    ------
    DataError
        There are no examples, or a subset names an unknown image.

    Examples
    --------
    >>> segmenter = Segmenter.from_pretrained(device="cpu")
    >>> rows, columns = np.mgrid[:64, :64]
    >>> disc = np.hypot(rows - 32, columns - 32) < 10
    >>> example = Example("disc", "made up", disc.astype(np.uint8) * 100, disc.astype(np.uint32), "disc")
    >>> evaluation = evaluate(segmenter, [example], subsets={"round": ["disc"]})
    >>> evaluation.overall.pooled[0.5], evaluation.subsets["round"].images
    (1.0, 1)
    """
    seen = segmenter.bundle.seen
    digests = [each.digest for each in examples]
    members = find_members([each.name for each in examples], subsets or {})
    with without_log_of_images():
        images = [_evaluate_one(segmenter, each, augment=augment) for each in track(examples)]
    scores = [image.score for image in images]
    field_sizes = Counter(each.field_id for each in examples)
    in_fields = [image for image in images if field_sizes[image.example.field_id] > 1]
    return Evaluation(
        model=segmenter.bundle.config.name,
        fingerprint=segmenter.bundle.fingerprint,
        augment=augment,
        training_images=sum(digest in seen.training for digest in digests),
        calibration_images=sum(digest in seen.choice for digest in digests),
        overall=summarise(scores),
        subsets={name: summarise([scores[i] for i in positions]) for name, positions in members.items()},
        categories=summarise_by([each.category for each in examples], scores),
        fields=summarise_by([image.example.field_id for image in in_fields], [image.score for image in in_fields]),
        images=images,
    )


def _evaluate_one(segmenter: Segmenter, example: Example, *, augment: bool) -> EvaluatedImage:
    prediction = segmenter.predict(example.image, augment=augment).labels
    return EvaluatedImage(example, prediction, score_image(example.labels, prediction, example.valid))
