"""How far the network looks: which input pixels an output depends on, followed layer by layer."""

from __future__ import annotations

from typing import NamedTuple


class Footprint(NamedTuple):
    """What feature number ``i`` of a row depends on: input pixels ``i * jump - before`` to ``i * jump + after``."""

    jump: int
    before: int
    after: int

    def convolved(self, kernel: int, stride: int) -> Footprint:
        """Footprint behind a convolution that is padded by half its kernel."""
        padding = kernel // 2
        return Footprint(
            self.jump * stride,
            self.before + padding * self.jump,
            self.after + (kernel - 1 - padding) * self.jump,
        )

    def repeated(self) -> Footprint:
        """Footprint behind an upsampling by repetition (or a depth-to-space)."""
        half = self.jump // 2
        return Footprint(half, self.before + half, self.after)

    def folded(self) -> Footprint:
        """Footprint behind a space-to-depth of 2."""
        return Footprint(self.jump * 2, self.before, self.after + self.jump)

    def joined(self, other: Footprint) -> Footprint:
        """Footprint of two features laid on each other."""
        if self.jump != other.jump:
            raise ValueError(f"features of strides {self.jump} and {other.jump} cannot be joined")
        return Footprint(self.jump, max(self.before, other.before), max(self.after, other.after))
