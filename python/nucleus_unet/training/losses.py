"""The loss function of training."""

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
    REFERENCE_DIAMETER,
    SMOOTH_L1_BETA,
    WEIGHT_BOUNDS,
)


class Batch(NamedTuple):
    """A batch of training samples.

    Attributes
    ----------
    image : Tensor (N, 3, H, W), float32
        Normalised images.
    foreground, heat, diameter : Tensor (N, H, W), float32
        Targets of `nucleus_unet.model.targets.Targets`.
    offset : Tensor (N, 2, H, W), float32
        Target offsets in pixels.
    valid : Tensor (N, H, W), float32
        Weight of each pixel in the loss: 1, or 0 outside the image and where nobody annotated.
    """

    image: Tensor
    foreground: Tensor
    heat: Tensor
    offset: Tensor
    diameter: Tensor
    valid: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


class Losses(NamedTuple):
    """The components of the loss, each a scalar."""

    foreground: Tensor
    dice: Tensor
    heat: Tensor
    offset: Tensor

    def total(self, *, dice: float = DICE_WEIGHT, heat: float = HEAT_WEIGHT, offset: float = OFFSET_WEIGHT) -> Tensor:
        """Return the weighted sum of the components. The weight of the foreground's cross-entropy is 1.

        Reports always show the sum with the standard loss weights, so that runs can be compared.
        """
        return self.foreground + dice * self.dice + heat * self.heat + offset * self.offset


def losses(output: Tensor, batch: Batch) -> Losses:
    """Compute the components of the loss.

    They are binary cross-entropy and Dice loss of the foreground, weighted cross-entropy of the centre heat, and smooth
    L1 loss of the offset divided by the nucleus's radius. The pixel weights make the contribution of a nucleus
    proportional to its diameter instead of its area.

    Parameters
    ----------
    output : Tensor (N, 4, H, W)
        Output of `Network`.
    batch
        Samples with their targets.
    """
    output = output.float()
    size = (REFERENCE_DIAMETER / batch.diameter.clamp(min=1)).clamp(*WEIGHT_BOUNDS)
    inside = batch.foreground * batch.valid
    weight = torch.where(batch.foreground > 0, size, torch.ones_like(size)) * batch.valid

    cross_entropy = functional.binary_cross_entropy_with_logits(
        output[:, 0], batch.foreground, weight=weight, reduction="sum"
    )
    probability = torch.sigmoid(output[:, 0])
    overlap = (probability * batch.foreground * weight).sum()
    both = ((probability + batch.foreground) * weight).sum()
    # The entropy of the soft target is subtracted, so that the minimum of this component is 0.
    heat_weight = weight * (1 + 4 * batch.heat) * (0.3 + 0.7 * batch.foreground)
    heat = functional.binary_cross_entropy_with_logits(output[:, 1], batch.heat, reduction="none")
    entropy = functional.binary_cross_entropy(batch.heat, batch.heat, reduction="none")
    radius = (batch.diameter / 2).clamp(min=2)[:, None]
    offset = functional.smooth_l1_loss(
        output[:, 2:] * OFFSET_SCALE / radius, batch.offset / radius, beta=SMOOTH_L1_BETA, reduction="none"
    )
    counted = weight.sum().clamp(min=1)
    nuclear = (inside * size).sum().clamp(min=1)
    return Losses(
        foreground=cross_entropy / counted,
        dice=1 - (2 * overlap + 1) / (both + 1),
        heat=((heat - entropy) * heat_weight).sum() / heat_weight.sum().clamp(min=1),
        offset=(offset.sum(dim=1) * inside * size).sum() / nuclear,
    )
