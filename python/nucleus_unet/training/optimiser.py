"""The optimiser: Muon for the convolutions that mix channels, AdamW for all other parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Coefficients of the quintic iteration that drives all singular values towards 1 (Jordan et al. 2024, Muon).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
# Scales an update to about the size of AdamW's updates, so that both use one learning rate (Liu et al. 2025).
_UPDATE_SIZE = 0.2
_ENCODER_SHARE = 0.5


class MuonAdamW(torch.optim.AdamW):
    """AdamW with Muon updates, whose singular values are all about 1, for groups with ``orthogonal`` set.

    A weight of shape (outputs, inputs, kernel, kernel) is treated as a matrix of ``outputs`` rows.

    Parameters
    ----------
    groups
        Parameter groups of `torch.optim.AdamW`. Each has the additional key ``orthogonal``, true or false.
    learning_rate
        Learning rate of all groups.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is scalable
    for LLM training".
    """

    def __init__(self, groups: list[dict[str, Any]], learning_rate: float) -> None:
        super().__init__(groups, lr=learning_rate)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        for group in self.param_groups:
            if group["orthogonal"]:
                for parameter in group["params"]:
                    self._step_orthogonally(parameter, group["lr"], group["weight_decay"])
        super().step(closure)

    def _step_orthogonally(self, parameter: nn.Parameter, learning_rate: float, weight_decay: float) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        state = self.state[parameter]
        if not state:
            # AdamW, which restores checkpoints, expects a step count in every state.
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(parameter)
        state["step"] += 1
        momentum = state["momentum"].mul_(_MOMENTUM).add_(gradient)
        update = orthogonalise(gradient.add(momentum, alpha=_MOMENTUM))
        parameter.mul_(1 - learning_rate * weight_decay).add_(update, alpha=-learning_rate)
        parameter.grad = None  # AdamW skips parameters without a gradient


def orthogonalise(update: Tensor) -> Tensor:
    """Return the approximately orthogonal matrix nearest to an update, scaled to the size of AdamW's updates.

    Parameters
    ----------
    update : Tensor (outputs, ...)
        Update of a weight. All axes but the first are flattened.

    Returns
    -------
    Tensor (outputs, ...)
        The orthogonalised update.

    Examples
    --------
    >>> import torch
    >>> update = orthogonalise(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.01, 0.0]]))
    >>> torch.linalg.svdvals(update / 0.2 / 3**0.5).round().tolist()
    [1.0, 1.0]
    """
    a, b, c = _QUINTIC
    matrix: Tensor = update.flatten(1).float()
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    matrix = matrix / (matrix.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = matrix @ matrix.T
        matrix = a * matrix + (b * square + c * square @ square) @ matrix
    scale = _UPDATE_SIZE * max(matrix.shape) ** 0.5
    matrix = scale * (matrix.T if tall else matrix)
    return matrix.reshape(update.shape).to(update.dtype)


def make_optimiser(network: nn.Module, *, learning_rate: float, weight_decay: float, pretrained: bool) -> MuonAdamW:
    """Create the optimiser with parameter groups by learning rate, weight decay and type of update.

    AdamW updates the depthwise filters, the first and the last layer, as these are not matrices between features.

    Parameters
    ----------
    network
        The network.
    learning_rate
        Learning rate. That of a pretrained encoder is multiplied by 0.5 (the key ``share`` of its groups).
    weight_decay
        Weight decay of convolution weights.
    pretrained
        Whether the encoder is pretrained.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        encoder = pretrained and name.startswith(("form.stem.", "form.blocks."))
        orthogonal = parameter.ndim > 1 and parameter.shape[1] > 3 and not name.startswith("form.head.")
        groups.setdefault((encoder, parameter.ndim > 1, orthogonal), []).append(parameter)
    return MuonAdamW(
        [
            {
                "params": parameters,
                "weight_decay": weight_decay if decayed else 0.0,
                "share": _ENCODER_SHARE if encoder else 1.0,
                "orthogonal": orthogonal,
            }
            for (encoder, decayed, orthogonal), parameters in sorted(groups.items(), key=lambda each: each[0])
        ],
        learning_rate,
    )
