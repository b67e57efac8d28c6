"""Plots, drawn with matplotlib (the ``plot`` extra)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.overlay import overlay
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.software_tag import SOFTWARE
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PALETTE = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (120, 120, 120),
)
"""Colours of Okabe and Ito, which colour-blind people can distinguish. The last one is grey, for all other groups."""
COLOURS = [(red / 255, green / 255, blue / 255) for red, green, blue in PALETTE]
"""The same for matplotlib."""

_BINS = 40

# For each title: the names in a run's history and their labels, in the order of the colours of `PALETTE`.
_CURVES = {
    "Loss": {"validation_loss": "held out", "train_loss": "training"},
    "Pixel accuracy": {"validation_pixel_accuracy": "held out", "train_pixel_accuracy": "training"},
    "AP50": {
        "validation_pooled_ap50": "held out, pooled",
        "train_pooled_ap50": "training, pooled",
        "validation_per_image_ap50": "held out, mean per image",
    },
    "Mean AP": {
        "validation_pooled_mean_ap": "held out, pooled",
        "train_pooled_mean_ap": "training, pooled",
        "validation_per_image_mean_ap": "held out, mean per image",
    },
    "Learning rate": {"learning_rate": "learning rate"},
    "Samples per second": {"samples_per_second": "samples per second"},
}


def require_matplotlib() -> None:
    """Check before a long computation that matplotlib is installed.

    Raises
    ------
    MissingExtraError
        matplotlib is missing. The message names the command that installs it.
    """
    new_figure(1, 1)


def new_figure(width: float, height: float) -> Figure:
    """Create a figure of this size in inches, without a window and without pyplot's global state."""
    matplotlib = require("matplotlib.figure", "plots need matplotlib", extra="plot")
    figure: Figure = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    return figure


def new_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Create a figure of this size with one plot, which has no lines above and at the right."""
    figure = new_figure(width, height)
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return figure, ax


def plot_outlines(image: NDArray[Any], labels: NDArray[np.uint32], ax: Axes | None = None) -> Axes:
    """Draw an image with the outline of every nucleus.

    Parameters
    ----------
    image : NDArray[Any] (H, W) or (H, W, 3)
        The image.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background, nuclei 1 to N.
    ax
        Axes to draw on. By default those of a new pyplot figure.

    Returns
    -------
    Axes
        The axes.
    """
    if ax is None:
        require_matplotlib()
        from matplotlib import pyplot

        ax = pyplot.figure(figsize=(6, 6), layout="constrained").subplots()
    if labels.size:
        ax.imshow(overlay(image, labels))
    ax.set_title(counted(labels.max(initial=0), "nucleus"))
    ax.set_axis_off()
    return ax


def save_curves(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Save the curves of `draw_curves` as one PNG.

    Parameters
    ----------
    path
        Path of the PNG. An existing file is replaced.
    history
        Entries of the training history. Each has ``samples`` and some of the plotted values.
    """
    figure = new_figure(15, 7)
    for ax, (title, names) in zip(figure.subplots(2, 3).flat, _CURVES.items(), strict=True):
        _draw_curves(ax, history, names)
        ax.set_title(title)
    write_atomically(path, png(figure))


def draw_curves(history: Sequence[Mapping[str, float]], *, marked: float) -> dict[str, bytes]:
    """Draw the curves of a training run: loss, pixel accuracy, average precision, learning rate, speed.

    Parameters
    ----------
    history
        Entries of the training history, as for `save_curves`.
    marked
        Number of samples at which a vertical line is drawn.

    Returns
    -------
    dict of str to bytes
        One SVG for each title. Equal histories give equal bytes.
    """
    pictures = {}
    for title, names in _CURVES.items():
        figure, ax = new_axes(4, 2.8)
        ax.axvline(marked, color="0.6", linestyle=":")
        _draw_curves(ax, history, names)
        pictures[title] = svg(figure)
    return pictures


def _draw_curves(ax: Axes, history: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> None:
    for (name, label), colour in zip(names.items(), COLOURS, strict=False):
        points = [(entry["samples"], entry[name]) for entry in history if name in entry]
        if points:
            ax.plot(*zip(*points, strict=True), marker=".", label=label, color=colour)
    ax.set_xlabel("samples")
    ax.grid(alpha=0.3)
    if len(names) > 1 and ax.get_legend_handles_labels()[0]:
        ax.legend()


def draw_precision(curves: Iterable[tuple[str, Mapping[float, float]]]) -> bytes:
    """Draw average precision against the threshold of intersection over union (IoU).

    Parameters
    ----------
    curves
        Name of each curve, and its average precision by threshold.

    Returns
    -------
    bytes
        The plot as a PNG.
    """
    figure = new_figure(7, 4.2)
    ax = figure.subplots()
    for name, curve in curves:
        # matplotlib starts a formula at a dollar sign, and hides a name with a leading underscore.
        ax.plot(list(curve), list(curve.values()), marker=".", label=" " + name.replace("$", r"\$"))
    ax.set_xlabel("IoU threshold")
    ax.set_ylabel("average precision")
    ax.set_ylim(0, 1)
    ax.grid(alpha=0.3)
    ax.legend()
    return png(figure)


def draw_histogram(
    groups: Sequence[NDArray[np.float64]], *, unit: str, logarithmic: bool = False, whole: bool = False
) -> bytes:
    """Draw a histogram with stacked groups.

    Parameters
    ----------
    groups
        Values of each group. There are at most as many groups as colours in `PALETTE`. Values that are not finite are
        ignored.
    unit
        Label of the value axis.
    logarithmic
        Use a logarithmic axis. All values are above 0.
    whole
        All values are integers of at least 0. Each has its own bin if there are few.

    Returns
    -------
    bytes
        The histogram as an SVG. Equal values give equal bytes.
    """
    groups = [values[np.isfinite(values)] for values in groups]
    figure, ax = new_axes(4, 2.6)
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator  # new_axes has checked that it is installed

    bins = _bins(np.concatenate(groups), logarithmic=logarithmic, whole=whole)
    ax.hist(groups, bins=bins.tolist(), stacked=True, color=COLOURS[: len(groups)])
    if logarithmic:
        ax.set_xscale("log")
        # By default, matplotlib adds more tick labels between the powers of ten than there is room for.
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if bins[-1] < 200 * bins[0] else (1,)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
    if whole:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlabel(unit)
    return svg(figure)


def _bins(values: NDArray[np.float64], *, logarithmic: bool, whole: bool) -> NDArray[np.float64]:
    if not values.size:
        return np.array([0.0, 1.0])
    least, most = float(values.min()), float(values.max())
    if whole and most <= _BINS:
        return np.arange(most + 2) - 0.5
    if least == most:
        least, most = (least / 2, most * 2) if logarithmic else (least - 0.5, most + 0.5)
    return np.geomspace(least, most, _BINS + 1) if logarithmic else np.linspace(least, most, _BINS + 1)


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG. Equal figures give equal bytes."""
    import matplotlib

    content = io.BytesIO()
    # Text stays text in the reader's font. Fixed ids and no date make the bytes reproducible.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nucleus-unet"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": SOFTWARE})
    return content.getvalue()
