"""Images that are shown to the network in several ways: test-time augmentation, and the second look at brown stain.

All is done pixel by pixel on raw outputs, so the result does not depend on the tile, as the network's own does not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import attenuate_dab
from nucleus_unet.preprocessing.normalisation import IntensityRange


class DihedralTTA:
    """Test-time augmentation: the mean of what the network says of an image, turned by quarters, and mirrored.

    Outputs are turned back, offsets with them. Quarter turns and mirrors map the stride's grid of a tile onto itself.

    Parameters
    ----------
    network
        That is asked eight times.
    """

    def __init__(self, network: Predictor) -> None:
        self._network = network
        self.stride, self.receptive_radius = network.stride, network.receptive_radius

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        total: NDArray[np.float32] | None = None
        for mirrored in (False, True):
            seen = images[:, :, ::-1] if mirrored else images
            for turns in range(4):
                view = np.ascontiguousarray(np.rot90(seen, turns, (1, 2)))
                output = _turned_back(self._network.run(view), turns)
                if mirrored:
                    output = _mirrored(output)
                total = output if total is None else total + output
        assert total is not None  # there are eight views
        return total / np.float32(8)


class DabAttenuatedEnsemble:
    """The image as it is and with its brown thinned; for each pixel, the output with more foreground stands.

    What nuclei hide under is thinned, and nuclei that are brown themselves are still seen in the image as it is.

    Parameters
    ----------
    network
        That is asked twice.
    thinned
        IntensityRange of the normalised image once its brown is thinned: without the dark brown its nuclei are pale.
    """

    def __init__(self, network: Predictor, thinned: IntensityRange) -> None:
        self._network, self._thinned = network, thinned
        self.stride, self.receptive_radius = network.stride, network.receptive_radius

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        black, white = (np.float32(level) for level in self._thinned)
        stretched = attenuate_dab(images)
        stretched -= black
        stretched /= white - black
        np.clip(stretched, 0, 1, out=stretched)
        output = self._network.run(images).copy()
        of_thinned = self._network.run(stretched)
        return np.where(of_thinned[:, :1] > output[:, :1], of_thinned, output)


def build_predictor(engine: Predictor, plan: Plan) -> Predictor:
    """Return what an image of that plan is shown to: the engine itself, or what asks it several times."""
    once = engine if plan.dab is None else DabAttenuatedEnsemble(engine, IntensityRange(*plan.dab))
    return DihedralTTA(once) if plan.augment else once


def _turned_back(output: NDArray[np.float32], turns: int) -> NDArray[np.float32]:
    """Undo quarter turns, each of which took a step down for a step right and a step right for a step up."""
    output = np.rot90(output, -turns, (2, 3))
    logits, row, column = output[:, :2], output[:, 2:3], output[:, 3:]
    for _ in range(turns):
        row, column = column, -row
    return np.concatenate([logits, row, column], axis=1)


def _mirrored(output: NDArray[np.float32]) -> NDArray[np.float32]:
    output = output[..., ::-1]
    return np.concatenate([output[:, :3], -output[:, 3:]], axis=1)
