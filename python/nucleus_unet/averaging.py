"""What the network says of an image that it is shown in several ways."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nucleus_unet.fusion import Fused
from nucleus_unet.images import Levels
from nucleus_unet.network import channels_last
from nucleus_unet.segmentation import Plan
from nucleus_unet.stains import UnderBrown


class DihedralAverage(nn.Module):
    """A network asked eight times: of the image as it is, turned by quarters, and mirrored.

    The answers are turned back, offsets with them, and averaged. Quarter turns and mirrors map the stride's grid of
    a tile onto itself, so that the answer does not depend on the tile, as the network's own does not.

    Parameters
    ----------
    network
        In evaluation mode, on its device.

    Examples
    --------
    >>> import torch
    >>> from nucleus_unet.network import Network, NetworkConfig
    >>> average = DihedralAverage(Network(NetworkConfig(decoder=(8, 8, 8, 8))).eval())
    >>> tuple(average(torch.zeros(1, 3, 64, 32)).shape)
    (1, 4, 64, 32)
    """

    def __init__(self, network: Fused | UnderBrown) -> None:
        super().__init__()
        self.network = network
        self.stride = network.stride
        self.receptive_radius = network.receptive_radius

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 4, H, W), as `Network` does."""
        total = torch.zeros(())
        for mirrored in (False, True):
            seen = image.flip(3) if mirrored else image
            for turns in range(4):
                answer = self.network(channels_last(torch.rot90(seen, turns, (2, 3)))).float()
                answer = _turned_back(answer, turns)
                total = total + (_mirrored(answer) if mirrored else answer)
        return total / 8


Asked = Fused | UnderBrown | DihedralAverage
"""What images are shown to."""


def asked(network: Fused, plan: Plan) -> Asked:
    """Return what an image of that plan is shown to: the network itself, or what asks it several times."""
    once = network if plan.dab is None else UnderBrown(network, Levels(*plan.dab))
    return DihedralAverage(once) if plan.augment else once


def _turned_back(answer: Tensor, turns: int) -> Tensor:
    """Undo quarter turns, each of which took a step down for a step right and a step right for a step up."""
    answer = torch.rot90(answer, -turns, (2, 3))
    logits, row, column = answer[:, :2], answer[:, 2:3], answer[:, 3:]
    for _ in range(turns):
        row, column = column, -row
    return torch.cat([logits, row, column], dim=1)


def _mirrored(answer: Tensor) -> Tensor:
    answer = answer.flip(3)
    return torch.cat([answer[:, :3], -answer[:, 3:]], dim=1)
