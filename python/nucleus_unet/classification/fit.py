"""Fit a classifier with scikit-learn, and take its numbers out of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.estimators import Estimator, Forest, Logistic, Tree
from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require

TREES = 100
_SEED = 0


def require_sklearn(module: str) -> Any:
    """Import and return scikit-learn with one of its modules.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    return require(f"sklearn.{module}", "training a classifier of nuclei needs scikit-learn", extra="classify")


def fit(kind: str, values: NDArray[np.float64], index: NDArray[np.int64], classes: int) -> Estimator:
    """Fit a classifier. Classes count the same, however many nuclei each has.

    Parameters
    ----------
    kind
        ``forest`` or ``logistic``.
    values : NDArray[np.float64] (N, M)
        Measures, all finite.
    index : NDArray[np.int64] (N,)
        Class of each nucleus, 0 to ``classes`` - 1. A class that does not occur gets the probability 0.
    classes
        Number of classes.

    Raises
    ------
    SettingsError
        If the kind is unknown.
    """
    present = np.unique(index)
    if kind == Forest.kind:
        return forest_of(fit_forest(values, index), classes, present)
    if kind == Logistic.kind:
        return _logistic(values, index, classes, present)
    raise SettingsError(f"kind: expected forest or logistic, got {kind!r}")


def fit_forest(values: NDArray[np.float64], index: NDArray[np.int64]) -> Any:
    """Return a fitted random forest of scikit-learn."""
    ensemble = require_sklearn("ensemble").ensemble
    forest = ensemble.RandomForestClassifier(TREES, class_weight="balanced", random_state=_SEED, n_jobs=1)
    return forest.fit(values.astype(np.float32), index)


def forest_of(fitted: Any, classes: int, present: NDArray[np.int64]) -> Forest:
    """Return the numbers of a random forest of scikit-learn, whose classes are ``present`` of all."""
    trees = []
    for each in fitted.estimators_:
        tree = each.tree_
        leaf = tree.children_left < 0
        shares = np.zeros((tree.node_count, classes))
        shares[:, present] = tree.value[:, 0, :]
        trees.append(
            Tree(
                np.where(leaf, 0, tree.feature).astype(np.int64),
                np.where(leaf, 0.0, tree.threshold),
                tree.children_left.astype(np.int64),
                tree.children_right.astype(np.int64),
                np.clip(shares, 0, 1),
            )
        )
    return Forest(tuple(trees), np.asarray(fitted.feature_importances_, np.float64))


def _logistic(
    values: NDArray[np.float64], index: NDArray[np.int64], classes: int, present: NDArray[np.int64]
) -> Logistic:
    mean, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    columns = values.shape[1]
    # The intercept of a class that does not occur makes its probability 0.
    coefficients, intercepts = np.zeros((classes, columns)), np.full(classes, -1e6)
    if len(present) == 1:
        intercepts[present] = 0.0
        return Logistic(mean, scale, coefficients, intercepts)
    linear = require_sklearn("linear_model").linear_model
    model = linear.LogisticRegression(class_weight="balanced", max_iter=10_000)
    model.fit((values - mean) / scale, index)
    own, own_intercepts = model.coef_, model.intercept_
    if len(present) == 2:  # one row, which is that of the second class
        own, own_intercepts = np.stack([np.zeros(columns), own[0]]), np.array([0.0, own_intercepts[0]])
    coefficients[present], intercepts[present] = own, own_intercepts
    return Logistic(mean, scale, coefficients, intercepts)
