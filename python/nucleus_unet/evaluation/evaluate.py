"""A model on a labelled set: figures for all of it and for every kind of image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nucleus_unet.evaluation.metrics import ImageScore, Scores, score_image, summarise
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.training.dataset import Example


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on a labelled set.

    Attributes
    ----------
    overall
        Of all images.
    kinds : dict of str to Scores
        Of every kind of image.
    images : list of ImageScore
        Of every image, in the order given.
    """

    overall: Scores
    kinds: dict[str, Scores]
    images: list[ImageScore]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "overall": self.overall.to_json(),
            "kinds": {kind: scores.to_json() for kind, scores in self.kinds.items()},
        }


def evaluate(
    segmenter: Segmenter,
    examples: Sequence[Example],
    *,
    track: Callable[[Sequence[Example]], Iterable[Example]] = iter,
) -> Evaluation:
    """Predict every image with the model's own settings, and compare with the truth.

    Parameters
    ----------
    segmenter
        The model.
    examples
        Images with their nuclei.
    track
        Wraps the examples, to show progress.
    """
    scores = [score_image(each.labels, segmenter.predict(each.image).labels) for each in track(examples)]
    return evaluation_of([each.kind for each in examples], scores)


def evaluation_of(kinds: Sequence[str], scores: Sequence[ImageScore]) -> Evaluation:
    """Summarise the scores of images, over all and by kind.

    Parameters
    ----------
    kinds, scores
        Of every image, in one order.
    """
    by_kind: dict[str, list[ImageScore]] = defaultdict(list)
    for kind, score in zip(kinds, scores, strict=True):
        by_kind[kind].append(score)
    return Evaluation(
        overall=summarise(scores),
        kinds={kind: summarise(group) for kind, group in sorted(by_kind.items())},
        images=list(scores),
    )
