"""From measures to probabilities of classes, in NumPy alone: a logistic regression, and a random forest.

The probabilities of a nucleus depend on its own measures and on nothing else, to the last bit. So sums are made column
by column: a product of matrices, and NumPy's own exponential, may differ in the last bit with the number of rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_MOST_TREES = 2000
_MOST_NODES = 2**24
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Logistic:
    """A multinomial logistic regression.

    Attributes
    ----------
    mean, scale : NDArray[np.float64] (M,)
        Taken from the measures, and divided by: what makes each of mean 0 and standard deviation 1 in training.
    coefficients : NDArray[np.float64] (K, M)
        Of each class.
    intercepts : NDArray[np.float64] (K,)
        Of each class.
    """

    kind: ClassVar[str] = "logistic"

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), for the measures of nuclei, (N, M)."""
        scores = np.tile(self.intercepts, (len(values), 1))
        with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond all bounds are dealt with below
            for place, weights in enumerate(self.coefficients.T):
                scores += ((values[:, place] - self.mean[place]) / self.scale[place])[:, None] * weights
        scores = np.nan_to_num(scores, nan=0.0)
        differences = scores - scores.max(axis=1, keepdims=True)
        powers = np.array([math.exp(each) for each in differences.ravel().tolist()]).reshape(scores.shape)
        total = powers[:, 0].copy()
        for column in powers.T[1:]:
            total += column
        shares: NDArray[np.float64] = powers / total[:, None]
        return shares

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each measure counts, (M,): the mean size of its coefficients; the sum is 1."""
        return _shares(np.abs(self.coefficients).mean(axis=0))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        names = ("mean", "scale", "coefficients", "intercepts")
        return {"kind": self.kind, **{name: getattr(self, name).tolist() for name in names}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, classes: int, columns: int) -> Logistic:
        """Inverse of `to_json`. Raise `ValueError` if a number is missing or impossible."""
        scale = numbers(content["scale"], "scale", (columns,))
        if not (scale > 0).all():
            raise ValueError("scale: expected positive numbers")
        return cls(
            numbers(content["mean"], "mean", (columns,)),
            scale,
            numbers(content["coefficients"], "coefficients", (classes, columns)),
            numbers(content["intercepts"], "intercepts", (classes,)),
        )


@dataclass(frozen=True, eq=False)
class Tree:
    """A decision tree. Its nodes are numbered so that children come after their parents.

    Attributes
    ----------
    measure : NDArray[np.int64] (J,)
        The measure that a node looks at.
    threshold : NDArray[np.float64] (J,)
        A nucleus goes left if its measure, in single precision, is at most this.
    left, right : NDArray[np.int64] (J,)
        Children of a node. -1 for a leaf.
    shares : NDArray[np.float64] (J, K)
        Probability of each class in a leaf.
    """

    measure: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    shares: NDArray[np.float64]

    def probabilities(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), for the measures of nuclei, (N, M)."""
        node = np.zeros(len(values), np.int64)
        walking = np.arange(len(values)) if self.left[0] >= 0 else np.zeros(0, np.int64)
        while len(walking):
            here = node[walking]
            goes_left = values[walking, self.measure[here]] <= self.threshold[here]
            node[walking] = np.where(goes_left, self.left[here], self.right[here])
            walking = walking[self.left[node[walking]] >= 0]
        return self.shares[node]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, classes: int, columns: int) -> Tree:
        """Inverse of `to_json`. Raise `ValueError` if this is not a tree of these numbers of classes and columns."""
        threshold = numbers(content["threshold"], "threshold", (None,))
        count = len(threshold)
        measure, left, right = (integers(content[name], name, count) for name in ("measure", "left", "right"))
        leaf, own = left < 0, np.arange(count)
        children_follow = ((left > own) & (right > own) & (left < count) & (right < count)) | (leaf & (right < 0))
        known = (measure >= 0) & (measure < columns)
        if not count or not (children_follow & (known | leaf)).all():
            raise ValueError("a tree has nodes that lead nowhere")
        shares = numbers(content["shares"], "shares", (count, classes))
        if not ((shares >= 0) & (shares <= 1)).all() or not (np.abs(shares.sum(axis=1) - 1) < _TOLERANCE).all():
            raise ValueError("shares: expected probabilities of 0 to 1 whose sum is 1")
        return cls(measure, threshold, left, right, shares)


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest.

    Attributes
    ----------
    trees
        Their probabilities are averaged.
    weights : NDArray[np.float64] (M,)
        How much each measure counts: its mean decrease of impurity; the sum is 1.
    """

    kind: ClassVar[str] = "forest"

    trees: tuple[Tree, ...]
    weights: NDArray[np.float64]

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), for the measures of nuclei, (N, M)."""
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        total = np.zeros((len(values), self.trees[0].shares.shape[1]))
        for tree in self.trees:
            total += tree.probabilities(single)
        return total / len(self.trees)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "kind": self.kind,
            "weights": self.weights.tolist(),
            "trees": [tree.to_json() for tree in self.trees],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], *, classes: int, columns: int) -> Forest:
        """Inverse of `to_json`. Raise `ValueError` if this is not a forest of these numbers of classes and columns."""
        trees = content["trees"]
        if not isinstance(trees, list) or not 0 < len(trees) <= _MOST_TREES:
            raise ValueError(f"trees: expected a list of 1 to {_MOST_TREES}")
        grown = tuple(Tree.from_json(tree, classes=classes, columns=columns) for tree in trees)
        if sum(len(tree.threshold) for tree in grown) > _MOST_NODES:
            raise ValueError(f"trees: expected at most {_MOST_NODES} nodes")
        return cls(grown, numbers(content["weights"], "weights", (columns,)))


Estimator = Logistic | Forest

KINDS: dict[str, type[Logistic] | type[Forest]] = {Forest.kind: Forest, Logistic.kind: Logistic}
"""Kinds of classifiers by name."""


def numbers(values: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Return a nested list as an array. Raise `ValueError` unless it has this shape and finite numbers only."""
    found = np.array(values) if isinstance(values, list) else np.array(None)
    fits = found.ndim == len(shape) and all(want in (None, is_) for want, is_ in zip(shape, found.shape, strict=True))
    if not fits or (found.size and found.dtype.kind not in "if") or not np.isfinite(found.astype(np.float64)).all():
        sizes = " x ".join("any number of" if want is None else str(want) for want in shape)
        raise ValueError(f"{name}: expected {sizes} finite numbers")
    return found.astype(np.float64)


def integers(values: Any, name: str, count: int) -> NDArray[np.int64]:
    """Return a list as an array. Raise `ValueError` unless it has this many whole numbers."""
    found = np.array(values) if isinstance(values, list) else np.array(None)
    if found.shape != (count,) or (count and found.dtype.kind != "i"):
        raise ValueError(f"{name}: expected {count} whole numbers")
    return found.astype(np.int64)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    total = values.sum()
    return values / total if total > 0 else values
