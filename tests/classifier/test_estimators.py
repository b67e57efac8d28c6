"""Probabilities of classes in NumPy: those of scikit-learn, row by row, and nothing forged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from nucleus_unet.classification.fit import fit, fit_forest, forest_of
from nucleus_unet.classifier.estimators import Forest, Logistic, Tree
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def nuclei(classes: int, count: int = 90) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Measures of several sizes, some of which tell the class a little."""
    rng = np.random.default_rng(classes)
    index = np.concatenate([np.arange(classes), rng.integers(0, classes, count - classes)])
    values = rng.normal(size=(count, 7)) * [1, 1e-3, 1e6, 1, 1, 10, 1] + index[:, None] * [0.7, 0, 1e6, 0, 0, 3, 0]
    return values, index


@pytest.mark.parametrize("classes", [2, 4])
def test_a_forest_has_the_probabilities_of_scikit_learn_to_the_last_bit(classes: int) -> None:
    values, index = nuclei(classes)
    fitted = fit_forest(values, index)
    unseen = np.random.default_rng(9).normal(size=(5000, 7)) * values.std(axis=0) + values.mean(axis=0)
    found = forest_of(fitted, classes, np.arange(classes)).probabilities(unseen)
    np.testing.assert_array_equal(found, fitted.predict_proba(unseen))


@pytest.mark.parametrize("classes", [2, 4])
def test_a_logistic_regression_has_the_probabilities_of_scikit_learn(classes: int) -> None:
    values, index = nuclei(classes)
    scaler = StandardScaler().fit(values)
    expected = LogisticRegression(class_weight="balanced", max_iter=10_000).fit(scaler.transform(values), index)
    found = fit("logistic", values, index, classes).probabilities(values)
    np.testing.assert_allclose(found, expected.predict_proba(scaler.transform(values)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["forest", "logistic"])
def test_the_probabilities_of_a_nucleus_do_not_depend_on_the_others(kind: str) -> None:
    values, index = nuclei(3)
    estimator = fit(kind, values, index, 3)
    together = estimator.probabilities(values)
    for size in (1, 2, 3, 7, 16, 33):
        parts = [estimator.probabilities(values[first : first + size]) for first in range(0, len(values), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    assert estimator.probabilities(values[:0]).shape == (0, 3)


@pytest.mark.parametrize("kind", ["forest", "logistic"])
def test_a_class_that_does_not_occur_in_training_gets_the_probability_0(kind: str) -> None:
    values, index = nuclei(3)
    for left in ([0, 2], [1]):
        kept = np.isin(index, left)
        found = fit(kind, values[kept], index[kept], 3).probabilities(values)
        assert not np.delete(found, left, axis=1).any()
        np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("kind", [Forest, Logistic])
def test_json_keeps_every_bit(kind: type[Forest] | type[Logistic]) -> None:
    values, index = nuclei(3)
    estimator = fit(kind.kind, values, index, 3)
    again = kind.from_json(json.loads(json.dumps(estimator.to_json())), classes=3, columns=7)
    np.testing.assert_array_equal(again.probabilities(values), estimator.probabilities(values))
    np.testing.assert_array_equal(again.weights, estimator.weights)


@pytest.mark.parametrize("kind", ["forest", "logistic"])
def test_values_beyond_all_bounds_have_probabilities(kind: str) -> None:
    values, index = nuclei(2)
    found = fit(kind, values, index, 2).probabilities(np.array([[1e308] * 7, [-1e308] * 7]))
    np.testing.assert_allclose(found.sum(axis=1), 1)


TREE: dict[str, Any] = {
    "measure": [1, 0, 0],
    "threshold": [0.5, 0.0, 0.0],
    "left": [1, -1, -1],
    "right": [2, -1, -1],
    "shares": [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]],
}


def test_a_tree_goes_left_at_its_threshold() -> None:
    tree = Tree.from_json(TREE, classes=2, columns=2)
    found = tree.probabilities(np.array([[9, 0.5], [9, 0.6]], np.float32))
    assert found.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "forged",
    [
        {"left": [0, -1, -1]},  # for ever
        {"left": [1, 0, -1]},
        {"left": [-1, -1, -1]},  # a leaf with a child
        {"right": [3, -1, -1]},  # to nowhere
        {"right": [2**40, -1, -1]},
        {"measure": [2, 0, 0]},
        {"measure": [-1, 0, 0]},
        {"measure": [0.5, 0, 0]},
        {"threshold": [float("nan"), 0, 0]},
        {"threshold": ["0.5", 0, 0]},
        {"threshold": []},
        {"shares": [[0.5, 0.5], [1.0, 0.0]]},
        {"shares": [[0.5, 0.5], [2.0, 0.0], [0, 1]]},
        {"shares": [[0.5, 0.5], [1.0, 1.0], [0.0, 1.0]]},
        {"shares": [[0.5, 0.5], [1.0], [0, 1]]},
        {"shares": None},
    ],
)
def test_a_forged_tree_is_refused(forged: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tree|expected|inhomogeneous"):
        Tree.from_json({**TREE, **forged}, classes=2, columns=2)
