"""How weights move: Muon for the convolutions that mix channels, AdamW for the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Coefficients of the quintic iteration that drives all singular values towards 1 (Jordan et al. 2024, Muon).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
# With it, an update is about as large as one of AdamW's, and both share one learning rate (Liu et al. 2025).
_UPDATE_SIZE = 0.2
_ENCODER_SHARE = 0.5


class MuonAdamW(torch.optim.AdamW):
    """AdamW, but groups marked ``orthogonal`` get updates whose singular values are all about 1.

    A weight of shape (outputs, inputs, kernel, kernel) is taken as a matrix of ``outputs`` rows.

    Parameters
    ----------
    groups
        Parameter groups of `torch.optim.AdamW`, each with a further ``orthogonal``, true or false.
    learning_rate
        Of all groups.

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
            # AdamW, which restores checkpoints, expects a count of steps in every state.
            state["step"] = torch.zeros(())
            state["momentum"] = torch.zeros_like(parameter)
        state["step"] += 1
        momentum = state["momentum"].mul_(_MOMENTUM).add_(gradient)
        update = orthogonalised(gradient.add(momentum, alpha=_MOMENTUM))
        parameter.mul_(1 - learning_rate * weight_decay).add_(update, alpha=-learning_rate)
        parameter.grad = None  # so that AdamW passes it by


def orthogonalised(update: Tensor) -> Tensor:
    """Return the nearly orthogonal matrix that is nearest to a weight's update, at the size of AdamW's updates.

    Parameters
    ----------
    update : Tensor (outputs, ...)
        Everything behind the first axis counts as one.

    Examples
    --------
    >>> import torch
    >>> update = orthogonalised(torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.01, 0.0]]))
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
    result: Tensor = matrix.reshape(update.shape).to(update.dtype)
    return result


def make_optimiser(network: nn.Module, *, learning_rate: float, weight_decay: float, pretrained: bool) -> MuonAdamW:
    """Sort the parameters into groups: how far each moves (``share``), whether it decays, whether it is a matrix.

    Filters of single channels, the first and the last layer are no maps between features; AdamW moves them.
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
