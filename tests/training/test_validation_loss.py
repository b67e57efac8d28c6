"""The loss of a whole image, in numpy: it is that of training, which torch computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nucleus_unet.model.targets import targets
from nucleus_unet.training.augmentation import Sample
from nucleus_unet.training.losses import losses
from nucleus_unet.training.sample_stream import collate
from nucleus_unet.training.validation_loss import validation_loss


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", [0.1, 3.0, 40.0])
@pytest.mark.parametrize("annotated", ["all", "in part"])
def test_it_is_the_loss_that_torch_computes(seed: int, spread: float, annotated: str) -> None:
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 70), np.uint32)
    for label in range(1, seed * 4 + 1):
        row, column, size = *rng.integers(0, 50, 2).tolist(), int(rng.integers(1, 20))
        labels[row : row + size, column : column + size] = label
    output = (rng.standard_normal((4, 60, 70)) * spread).astype(np.float32)
    wanted = targets(labels)
    valid = np.ones((60, 70), bool) if annotated == "all" else rng.random((60, 70)) < 0.3
    batch = collate([Sample(np.zeros((3, 60, 70), np.float32), wanted, valid)])
    expected = float(losses(torch.from_numpy(output)[None], batch).total())
    loss = validation_loss(output, wanted, None if annotated == "all" else valid)
    assert loss == pytest.approx(expected, rel=1e-4, abs=1e-4)
