"""Receptive field of the network, computed layer by layer."""

from __future__ import annotations

from typing import NamedTuple


class Footprint(NamedTuple):
    """Receptive field along one axis: feature ``i`` depends on inputs ``i * jump - before`` to ``i * jump + after``."""

    jump: int
    before: int
    after: int

    def convolve(self, kernel: int, stride: int) -> Footprint:
        """Return the receptive field after a convolution with padding of half its kernel."""
        padding = kernel // 2
        return Footprint(
            self.jump * stride,
            self.before + padding * self.jump,
            self.after + (kernel - 1 - padding) * self.jump,
        )

    def repeat(self) -> Footprint:
        """Return the receptive field after upsampling by repetition, or after depth-to-space."""
        half = self.jump // 2
        return Footprint(half, self.before + half, self.after)

    def fold(self) -> Footprint:
        """Return the receptive field after a space-to-depth of 2."""
        return Footprint(self.jump * 2, self.before, self.after + self.jump)

    def union(self, other: Footprint) -> Footprint:
        """Return the union of the receptive fields of two features of equal stride."""
        if self.jump != other.jump:
            raise ValueError(f"features of strides {self.jump} and {other.jump} cannot be combined")
        return Footprint(self.jump, max(self.before, other.before), max(self.after, other.after))
