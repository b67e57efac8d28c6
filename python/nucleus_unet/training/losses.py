"""What training minimises."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.training.validation_loss import (
    DICE_WEIGHT,
    HEAT_WEIGHT,
    OFFSET_WEIGHT,
    SMOOTH_UNTIL,
    TYPICAL_DIAMETER,
    WEIGHT_BOUNDS,
)


class Batch(NamedTuple):
    """Training samples, stacked.

    Attributes
    ----------
    image : Tensor (N, 3, H, W), float32
    foreground, heat, diameter : Tensor (N, H, W), float32
    offset : Tensor (N, 2, H, W), float32
    valid : Tensor (N, H, W), float32
        0 where a pixel does not count.
    """

    image: Tensor
    foreground: Tensor
    heat: Tensor
    offset: Tensor
    diameter: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move to a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


class Losses(NamedTuple):
    """The parts of the loss, each a scalar."""

    foreground: Tensor
    dice: Tensor
    heat: Tensor
    offset: Tensor

    def total(self, *, dice: float = DICE_WEIGHT, heat: float = HEAT_WEIGHT, offset: float = OFFSET_WEIGHT) -> Tensor:
        """Return the sum, with the foreground's cross-entropy weighing 1.

        Reports show it with the standard weights whatever is minimised, so that runs can be compared.
        """
        return self.foreground + dice * self.dice + heat * self.heat + offset * self.offset


def losses(output: Tensor, batch: Batch) -> Losses:
    """Compare the network's output with the targets.

    Binary cross-entropy and Dice for the foreground, weighted cross-entropy for the centre heat, smooth L1 relative
    to the nucleus's radius for the offset. Every nucleus counts by its diameter rather than by its area.

    Parameters
    ----------
    output : Tensor (N, 4, H, W)
        From `Network`.
    batch
        The same samples' targets.
    """
    output = output.float()
    size = (TYPICAL_DIAMETER / batch.diameter.clamp(min=1)).clamp(*WEIGHT_BOUNDS)
    inside = batch.foreground * batch.valid
    weight = torch.where(batch.foreground > 0, size, torch.ones_like(size)) * batch.valid

    cross_entropy = functional.binary_cross_entropy_with_logits(
        output[:, 0], batch.foreground, weight=weight, reduction="sum"
    )
    probability = torch.sigmoid(output[:, 0])
    overlap = (probability * batch.foreground * weight).sum()
    both = ((probability + batch.foreground) * weight).sum()
    # Only shape and place of the peaks matter: the entropy of the soft target itself is no error.
    heat_weight = weight * (1 + 4 * batch.heat) * (0.3 + 0.7 * batch.foreground)
    heat = functional.binary_cross_entropy_with_logits(output[:, 1], batch.heat, reduction="none")
    entropy = functional.binary_cross_entropy(batch.heat, batch.heat, reduction="none")
    radius = (batch.diameter / 2).clamp(min=2)[:, None]
    offset = functional.smooth_l1_loss(
        output[:, 2:] * OFFSET_SCALE / radius, batch.offset / radius, beta=SMOOTH_UNTIL, reduction="none"
    )
    counted = weight.sum().clamp(min=1)
    nuclear = (inside * size).sum().clamp(min=1)
    return Losses(
        foreground=cross_entropy / counted,
        dice=1 - (2 * overlap + 1) / (both + 1),
        heat=((heat - entropy) * heat_weight).sum() / heat_weight.sum().clamp(min=1),
        offset=(offset.sum(dim=1) * inside * size).sum() / nuclear,
    )
