"""Run the network on several versions of an image: test-time augmentation, and attenuation of DAB stain.

The outputs are combined pixel by pixel, so the result is as independent of the tile as the network's output.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import attenuate_dab
from nucleus_unet.preprocessing.normalisation import IntensityRange


class DihedralTTA:
    """Test-time augmentation: the mean output for the eight rotations by quarter turns and reflections of an image.

    The outputs, including the offsets, are transformed back. The transformations map the stride's grid of a tile onto
    itself.

    Parameters
    ----------
    network
        Runs the network, eight times per image.
    """

    def __init__(self, network: Predictor) -> None:
        self._network = network
        self.stride, self.receptive_radius = network.stride, network.receptive_radius

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        total: NDArray[np.float32] | None = None
        for mirrored in (False, True):
            flipped = images[:, :, ::-1] if mirrored else images
            for quarter_turns in range(4):
                view = np.ascontiguousarray(np.rot90(flipped, quarter_turns, (1, 2)))
                output = _rotate_back(self._network.run(view), quarter_turns)
                if mirrored:
                    output = _mirror_back(output)
                total = output if total is None else total + output
        assert total is not None  # there are eight views
        return total / np.float32(8)


class DabAttenuatedEnsemble:
    """Runs the network on the image and on the image with attenuated DAB.

    Each pixel gets the output with the higher foreground. Attenuation reveals nuclei under the stain. The original
    image shows nuclei that are brown themselves.

    Parameters
    ----------
    network
        Runs the network, twice per image.
    attenuated_range
        Intensity range of the normalised image after its DAB is attenuated. It restores the contrast of the nuclei.
    """

    def __init__(self, network: Predictor, attenuated_range: IntensityRange) -> None:
        self._network, self._attenuated_range = network, attenuated_range
        self.stride, self.receptive_radius = network.stride, network.receptive_radius

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `nucleus_unet.inference.engine.Predictor`."""
        low, high = (np.float32(value) for value in self._attenuated_range)
        stretched = attenuate_dab(images)
        stretched -= low
        stretched /= high - low
        np.clip(stretched, 0, 1, out=stretched)
        output = self._network.run(images).copy()
        attenuated_output = self._network.run(stretched)
        return np.where(attenuated_output[:, :1] > output[:, :1], attenuated_output, output)


def build_predictor(engine: Predictor, plan: Plan) -> Predictor:
    """Return the predictor for a plan: the engine, or an ensemble that calls it several times."""
    predictor = with_attenuated_dab(engine, None if plan.dab is None else IntensityRange(*plan.dab))
    return DihedralTTA(predictor) if plan.augment else predictor


def with_attenuated_dab(network: Predictor, attenuated_range: IntensityRange | None) -> Predictor:
    """Return the predictor for an image: the network itself if there is no DAB to attenuate, else an ensemble."""
    return network if attenuated_range is None else DabAttenuatedEnsemble(network, attenuated_range)


def _rotate_back(output: NDArray[np.float32], quarter_turns: int) -> NDArray[np.float32]:
    """Undo quarter turns of an output, and rotate its offsets back."""
    output = np.rot90(output, -quarter_turns, (2, 3))
    logits, row, column = output[:, :2], output[:, 2:3], output[:, 3:]
    for _ in range(quarter_turns):
        row, column = column, -row
    return np.concatenate([logits, row, column], axis=1)


def _mirror_back(output: NDArray[np.float32]) -> NDArray[np.float32]:
    output = output[..., ::-1]
    return np.concatenate([output[:, :3], -output[:, 3:]], axis=1)
