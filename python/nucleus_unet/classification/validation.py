"""How good a classifier is on images, or nuclei, that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classification.fit import fit, require_sklearn
from nucleus_unet.classifier.classes import ClassKind

_MOST_IMAGE_FOLDS, _MOST_NUCLEUS_FOLDS = 10, 5
_SEED = 0


@dataclass(frozen=True, eq=False)
class Validation:
    """The result of a cross-validation.

    Attributes
    ----------
    kinds
        The classes.
    index : NDArray[np.int64] (N,)
        Marked class of each nucleus.
    probabilities : NDArray[np.float64] (N, K)
        Of each class, by classifiers that did not see the nucleus.
    by_image
        Whether folds are of whole images. Else there was only one image, and folds are of nuclei.
    folds
        Number of folds.
    """

    kinds: tuple[ClassKind, ...]
    index: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    by_image: bool
    folds: int

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class of each nucleus, (N,)."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Number of nuclei by marked class (rows) and predicted class (columns), (K, K)."""
        counts = np.zeros((len(self.kinds), len(self.kinds)), np.int64)
        np.add.at(counts, (self.index, self.predicted), 1)
        return counts

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of each class, the share of its predictions that are right, (K,); NaN if there is none."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of each class, the share of its marked nuclei that are found, (K,)."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each class, (K,): twice the right ones, divided by the marked and the predicted ones."""
        return _ratio(2 * np.diag(self.confusion), self.confusion.sum(axis=0) + self.confusion.sum(axis=1))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes."""
        return float(self.f1.mean())

    @property
    def sureness(self) -> NDArray[np.float64]:
        """Probability of the marked class of each nucleus, (N,)."""
        return self.probabilities[np.arange(len(self.index)), self.index]

    @property
    def how(self) -> str:
        """What was held out, as a sentence."""
        if self.by_image:
            return f"Cross-validation over images: {self.folds} folds, and all nuclei of an image are in one of them."
        return (
            f"There is only one image, so {self.folds} folds of its nuclei were held out in turn. On other images the "
            "classifier may be worse: mark nuclei of more images to know."
        )


def cross_validate(
    kind: str,
    values: NDArray[np.float64],
    index: NDArray[np.int64],
    images: NDArray[np.int64],
    kinds: tuple[ClassKind, ...],
) -> Validation:
    """Hold out images in turn; of a single image, nuclei.

    Parameters
    ----------
    kind
        Of the classifier.
    values : NDArray[np.float64] (N, M)
        Measures; what is not finite is filled with the median of each fold's training part.
    index : NDArray[np.int64] (N,)
        Class of each nucleus.
    images : NDArray[np.int64] (N,)
        Image of each nucleus.
    kinds
        The classes.
    """
    selection: Any = require_sklearn("model_selection").model_selection
    count, by_image = len(np.unique(images)), len(np.unique(images)) > 1
    if by_image:
        folds = min(count, _MOST_IMAGE_FOLDS)
        splits = selection.GroupKFold(folds).split(values, index, images)
    else:
        folds = min(int(np.bincount(index).min()), _MOST_NUCLEUS_FOLDS)
        splitter = selection.StratifiedKFold(folds, shuffle=True, random_state=_SEED)
        splits = splitter.split(values, index)
    found = np.zeros((len(index), len(kinds)))
    for train, test in splits:
        fill = medians(values[train])
        estimator = fit(kind, filled(values[train], fill), index[train], len(kinds))
        found[test] = estimator.probabilities(filled(values[test], fill))
    return Validation(kinds, index, found, by_image, folds)


def medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the finite values of each column; 0 if there is none."""
    known = [column[np.isfinite(column)] for column in values.T]
    return np.array([float(np.median(column)) if len(column) else 0.0 for column in known])


def filled(values: NDArray[np.float64], fill: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with what is not finite replaced by that of the column."""
    return np.where(np.isfinite(values), values, fill)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
