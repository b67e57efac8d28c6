"""Means of the training metrics."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Totals:
    """Sums of the training metrics over the steps since the last entry of the history."""

    count: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, parts: dict[str, float]) -> None:
        """Add the metrics of a step."""
        self.count += 1
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return the means."""
        return {name: value / self.count for name, value in self.sums.items()} if self.count else {}
