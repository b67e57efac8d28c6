"""Protocols of the objects that run the network.

An engine takes tiles and returns the raw output of the network. All later steps are the same for every engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.precision import Precision


@dataclass(frozen=True)
class Identity:
    """All that may change the last bit of the network's output, in addition to the model. The plan contains it.

    Attributes
    ----------
    engine
        Name and version of the library.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    precision
        Numbers in which the network computes.
    hardware
        Type of processor, as far as it changes the output.
    threads
        Number of threads that compute. None if it does not change the output.
    exact
        Whether the output of a tile equals that of the whole image, bit for bit, for all tile sides and batch sizes.
    """

    engine: str
    device: str
    precision: Precision
    hardware: str
    threads: int | None
    exact: bool


class Predictor(Protocol):
    """Returns the network's output for images: an engine, or test-time augmentation around one."""

    @property
    def stride(self) -> int:
        """Height and width of an image must be multiples of this number of pixels."""

    @property
    def receptive_radius(self) -> int:
        """Largest distance in pixels, along either axis, of an input pixel that changes an output pixel."""

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network. Several threads may call it at once.

        Parameters
        ----------
        images : NDArray[np.float32] (N, H, W, 3)
            Normalised to 0..1; H and W multiples of `stride`.

        Returns
        -------
        NDArray[np.float32] (N, 4, H, W)
            Logits of foreground and centre heat, and row and column offsets in units of `OFFSET_SCALE` pixels. The next
            call by the same thread may overwrite the array.
        """


class Engine(Predictor, Protocol):
    """A model on a device, ready to run."""

    @property
    def identity(self) -> Identity:
        """All that may change the engine's output."""

    @property
    def streams(self) -> int:
        """Number of simultaneous calls of `run` that increase the speed."""

    @property
    def default_tile(self) -> int:
        """Default side of a tile in pixels."""

    def parallel(self) -> Engine:
        """Return an engine for many tiles of one size, with more streams if that is faster. Its output is the same."""

    def prepare(self, size: tuple[int, int]) -> None:
        """Do the setup of `run` for images of this height and width. Other threads may call `run` meanwhile."""

    def release(self) -> None:
        """Release the memory that is cached for the next call, unless a call of `run` is in progress."""
