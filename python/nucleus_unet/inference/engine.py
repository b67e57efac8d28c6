"""The protocol of engines: what runs the network.

An engine takes tiles and gives the network's raw output. All that comes after it, in numpy or Rust, is the same for
every engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.precision import Precision


@dataclass(frozen=True)
class Identity:
    """What the last bit of a network's output may depend on, beside the model; the plan names it.

    Attributes
    ----------
    engine
        Name and version.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision
        In which the network computes.
    hardware
        Kind of processor, as far as it matters.
    threads
        How many compute; None where that changes nothing.
    exact
        Whether a tile's output is that of the whole image, bit for bit, however it is cut, in any batch.
    """

    engine: str
    device: str
    precision: Precision
    hardware: str
    threads: int | None
    exact: bool


class Predictor(Protocol):
    """What gives the network's output for images: an engine, or test-time augmentation around one."""

    @property
    def stride(self) -> int:
        """Height and width of an image must be multiples of it."""

    @property
    def receptive_radius(self) -> int:
        """An output depends on no pixel further away than this, along either axis."""

    def run(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network. Any number of threads may call it at once; other threads go on meanwhile.

        Parameters
        ----------
        images : NDArray[np.float32] (N, H, W, 3)
            Normalised to 0..1; H and W multiples of `stride`.

        Returns
        -------
        NDArray[np.float32] (N, 4, H, W)
            Logits of foreground and centre heat, row and column offsets in units of `OFFSET_SCALE` pixels. The next
            call of the same thread may overwrite it.
        """


class Engine(Predictor, Protocol):
    """A model on a device, ready to run."""

    @property
    def identity(self) -> Identity:
        """What its output may depend on."""

    @property
    def streams(self) -> int:
        """How many calls of `run` may usefully go on at once."""

    @property
    def default_tile(self) -> int:
        """Side in pixels of a tile that suits it."""

    def parallel(self) -> Engine:
        """Return an engine for many tiles of one height and width: as many streams as help, with the same output."""

    def prepare(self, size: tuple[int, int]) -> None:
        """Do what `run` would do first for images of this height and width; any thread may, while others go on."""

    def release(self) -> None:
        """Give memory back that is only kept for the next call, unless a call of `run` is going on."""
