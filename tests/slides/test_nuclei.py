"""The nuclei of a block: which are kept, and the kernels that make runs of labels and labels of runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.slides.nuclei import measure_nuclei
from numpy.typing import NDArray

LABELS = np.array([[1, 1, 0, 2], [1, 0, 3, 2], [0, 3, 3, 2]], np.uint32)
CENTRES, PROBABILITIES = np.array([[0, 0], [1, 3], [2, 2]]), np.array([0.5, 0.6, 0.7], np.float32)
QUALITIES = np.array([0.9, 0.3, 0.4], np.float32)


def test_nuclei_that_are_not_selected_leave_no_trace() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = measure_nuclei(
        LABELS,
        image,
        corner=(10, 20),
        centres=CENTRES,
        probabilities=PROBABILITIES,
        qualities=QUALITIES,
        selected=np.array([True, False, True]),
    )
    alone = measure_nuclei(
        np.where(LABELS == 2, np.uint32(0), LABELS),
        image,
        corner=(10, 20),
        centres=CENTRES,
        probabilities=PROBABILITIES,
        qualities=QUALITIES,
    )
    assert found.area.tolist() == [3, 3]
    assert found.runs.tolist() == [[10, 20, 22], [11, 20, 21], [11, 22, 23], [12, 21, 23]]
    for name, values in found.arrays().items():
        np.testing.assert_array_equal(values, alone.arrays()[name], strict=True)


def test_no_nucleus_may_be_selected() -> None:
    none = np.zeros(3, bool)
    told = {"centres": CENTRES, "probabilities": PROBABILITIES, "qualities": QUALITIES}
    found = measure_nuclei(LABELS, LABELS, corner=(0, 0), **told, selected=none)
    assert len(found) == 0
    assert found.first_run.tolist() == [0]
    assert found.runs.shape == (0, 3)


@pytest.mark.parametrize(
    "labels",
    [LABELS, np.asfortranarray(LABELS), LABELS[::-1, ::-1], LABELS[:, ::2], LABELS * np.uint32(2**30), LABELS[:0]],
    ids=["C order", "Fortran order", "reversed", "every second column", "large", "without rows"],
)
def test_runs_of_any_layout_paint_the_labels(labels: NDArray[np.uint32]) -> None:
    present, first, runs = _core.label_runs(labels)
    owners = np.repeat(present, np.diff(first))
    painted = _core.draw_runs(runs.astype(np.int64), owners, corner=(0, 0), shape=labels.shape)
    np.testing.assert_array_equal(painted, labels, strict=True)


@pytest.mark.parametrize("labels", [LABELS.astype(np.int64), LABELS.astype(">u4"), LABELS[0]])
def test_runs_of_other_arrays_are_refused(labels: NDArray[Any]) -> None:
    with pytest.raises(MaskError, match="labels: expected an array"):
        _core.label_runs(labels)


def test_an_image_without_columns_has_no_runs_however_many_rows_it_has() -> None:
    assert [len(part) for part in _core.label_runs(np.zeros((2**31 - 1, 0), np.uint32))] == [0, 1, 0]


def test_every_run_needs_a_label() -> None:
    with pytest.raises(MaskError, match="labels: expected one for each run"):
        _core.draw_runs(np.zeros((2, 3), np.int64), np.zeros(1, np.uint32), corner=(0, 0), shape=(2, 2))
