"""The pictures of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from nucleus_unet.reports.plots import COLOURS, new_axes, new_figure, svg
from nucleus_unet.tuning.search_space import Range

_BLUE, _ORANGE, _GREY = COLOURS[0], COLOURS[5], COLOURS[7]


def draw_history(finished: Mapping[int, float], stopped: Mapping[int, float]) -> bytes:
    """Draw the figures of trials in their order, and the best so far.

    Parameters
    ----------
    finished, stopped
        By number of the trial: its figure, or the last one before it was stopped.

    Returns
    -------
    bytes
        Of an SVG.
    """
    from matplotlib.ticker import MaxNLocator

    figure, ax = new_axes(5.5, 3.4)
    if stopped:
        ax.plot(list(stopped), list(stopped.values()), "x", color=_GREY, label="stopped early")
    ax.plot(list(finished), list(finished.values()), "o", color=_BLUE, label="finished")
    if finished:
        best = list(accumulate(finished.values(), max))
        last = max(*finished, *stopped, 0)
        ax.step([*finished, last], [*best, best[-1]], where="post", color=_ORANGE, label="best so far")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trial")
    ax.set_ylabel("mSA")
    ax.grid(alpha=0.3)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)  # where no point can lie
    return svg(figure)


def draw_importances(importances: Mapping[str, float]) -> bytes:
    """Draw the shares of settings in what makes a trial good, the largest on top.

    Returns
    -------
    bytes
        Of an SVG.
    """
    figure, ax = new_axes(5.5, 0.8 + 0.35 * len(importances))
    bars = ax.barh(list(importances), list(importances.values()), color=_BLUE)
    ax.bar_label(bars, fmt="%.2f", padding=3)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.1)
    ax.set_xlabel("share")
    return svg(figure)


@dataclass(frozen=True)
class Axis:
    """An axis of parallel coordinates: where a value lies on it, from 0 to 1, and what is written there."""

    title: str
    setting: Range | tuple[Any, ...]

    def place(self, value: Any) -> float:
        """Tell how high a value lies."""
        if not isinstance(self.setting, Range):
            return (self.setting.index(value) + 0.5) / len(self.setting)
        low, high = self.setting.low, self.setting.high
        if low == high:
            return 0.5
        if self.setting.log:
            return math.log(value / low) / math.log(high / low)
        return float((value - low) / (high - low))

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Heights and texts."""
        if not isinstance(self.setting, Range):
            return [(self.place(choice), _text(choice)) for choice in self.setting]
        ends = dict.fromkeys((self.setting.low, self.setting.high))
        return [(self.place(end), f"{end:.3g}") for end in ends]


def draw_parallel(axes: Sequence[Axis], lines: Sequence[Sequence[Any]]) -> bytes:
    """Draw trials as lines across an axis for each setting; the last axis, the figure, gives the colour.

    Parameters
    ----------
    axes
        One for each value of a line.
    lines
        The best trial last, which is drawn on top.

    Returns
    -------
    bytes
        Of an SVG.
    """
    from matplotlib import colormaps

    figure = new_figure(1.7 * len(axes), 4)
    ax = figure.subplots()
    for line in lines:
        heights = [axis.place(value) for axis, value in zip(axes, line, strict=True)]
        best = line is lines[-1]
        # The pale end of the colours would not be seen on white.
        colour = _ORANGE if best else colormaps["viridis_r"](0.15 + 0.85 * heights[-1])
        ax.plot(heights, color=colour, linewidth=2.5 if best else 1, alpha=1 if best else 0.7)
    for position, axis in enumerate(axes):
        ax.axvline(position, color="0.4", linewidth=0.8)
        for height, text in axis.marks:
            box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
            ax.text(position + 0.03, height, text, fontsize=9, verticalalignment="center", bbox=box)
    ax.set_xticks(range(len(axes)), [axis.title for axis in axes])
    ax.set_xlim(-0.3, len(axes) - 0.5)
    ax.set_ylim(-0.05, 1.05)
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return svg(figure)


def _text(choice: Any) -> str:
    return ", ".join(map(str, choice)) if isinstance(choice, list | tuple) else str(choice)
