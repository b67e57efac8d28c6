"""A model on a labelled set: figures for all of it, for every kind of image, every field, and chosen images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.metrics import THRESHOLDS, ImageScore, Scores, score_image, summarise, summarise_by
from nucleus_unet.evaluation.subsets import find_members
from nucleus_unet.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class EvaluatedImage:
    """An image, what was predicted, and how it was scored.

    Attributes
    ----------
    example
        The image and its nuclei.
    prediction : NDArray[np.uint32] (H, W)
        Label image.
    score
        The one compared with the other.
    """

    example: Example
    prediction: NDArray[np.uint32]
    score: ImageScore

    @property
    def mean_average_precision(self) -> float:
        """Average precision, mean over thresholds .50 to .95."""
        return float(np.mean(self.score.average_precision))

    def to_row(self) -> dict[str, str | int | float]:
        """Return all that is known of the image as a row of a table, figures rounded to five digits."""
        score = self.score
        height, width = self.prediction.shape
        figures = {
            **{f"ap_{t:.2f}": value for t, value in zip(THRESHOLDS, score.average_precision, strict=True)},
            "mean_ap": self.mean_average_precision,
            **{f"f1_{t:.2f}": value for t, value in zip(THRESHOLDS, score.f1, strict=True)},
            **dict(zip(("pq", "sq", "rq"), score.panoptic_quality, strict=True)),
            "aji": score.aggregated_jaccard,
            "pixel_accuracy": score.pixel_accuracy,
        }
        return {
            "name": self.example.name,
            "kind": self.example.kind,
            "mosaic": self.example.mosaic,
            "height": height,
            "width": width,
            "truths": score.truths,
            "predictions": score.predictions,
            **{name: round(value, 5) for name, value in figures.items()},
            **asdict(score.errors),
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a model on a labelled set.

    Attributes
    ----------
    model, fingerprint
        Name of the bundle, and SHA-256 of its configuration and weights.
    augment
        Whether predictions were averaged over turns and mirrors.
    training_images, choice_images
        How many of the images the model was trained on, and on how many its settings were chosen, as far as its bundle
        tells: they flatter it.
    overall
        Of all images.
    subsets : dict of str to Scores
        Of the images that were asked for on their own.
    kinds : dict of str to Scores
        Of every kind of image.
    mosaics : dict of str to Scores
        Of every field or patient that several images show.
    images : list of EvaluatedImage
        Every image, in the order given.
    """

    model: str
    fingerprint: str
    augment: bool
    training_images: int
    choice_images: int
    overall: Scores
    subsets: dict[str, Scores]
    kinds: dict[str, Scores]
    mosaics: dict[str, Scores]
    images: list[EvaluatedImage]

    @property
    def warning(self) -> str:
        """A sentence on images that the model knows; empty where there are none."""
        known = {"was trained on": self.training_images, "had its settings chosen on": self.choice_images}
        said = " and ".join(f"{how} {count}" for how, count in known.items() if count)
        return f"The model {said} of these {len(self.images)} images: they flatter it." if said else ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        groups = {"subsets": self.subsets, "kinds": self.kinds, "mosaics": self.mosaics}
        return {
            "model": self.model,
            "fingerprint": self.fingerprint,
            "augment": self.augment,
            "training_images": self.training_images,
            "choice_images": self.choice_images,
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
    """Predict every image with the model's own settings, and compare with the truth.

    Parameters
    ----------
    segmenter
        The model.
    examples
        Images with their nuclei.
    subsets
        By name, the names of images to be summarised on their own too.
    augment
        Average predictions over turns and mirrors; see `Segmenter.predict`.
    track
        Wraps the examples, to show progress.

    Raises
    ------
    DataError
        There are no examples, or a subset names an image that is not among them.

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
    images = [_evaluate_one(segmenter, each, augment=augment) for each in track(examples)]
    scores = [image.score for image in images]
    fields = Counter(each.mosaic for each in examples)
    in_fields = [image for image in images if fields[image.example.mosaic] > 1]
    return Evaluation(
        model=segmenter.bundle.config.name,
        fingerprint=segmenter.bundle.fingerprint,
        augment=augment,
        training_images=sum(digest in seen.training for digest in digests),
        choice_images=sum(digest in seen.choice for digest in digests),
        overall=summarise(scores),
        subsets={name: summarise([scores[i] for i in positions]) for name, positions in members.items()},
        kinds=summarise_by([each.kind for each in examples], scores),
        mosaics=summarise_by([image.example.mosaic for image in in_fields], [image.score for image in in_fields]),
        images=images,
    )


def _evaluate_one(segmenter: Segmenter, example: Example, *, augment: bool) -> EvaluatedImage:
    prediction = segmenter.predict(example.image, augment=augment).labels
    return EvaluatedImage(example, prediction, score_image(example.labels, prediction))
