"""The page of an exploration: one HTML file with everything in it, pictures too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.exploration.contact_sheet import MEDIA_TYPE, choose, thumbnail
from nucleus_unet.exploration.data_checks import counted
from nucleus_unet.exploration.nucleus_statistics import RING
from nucleus_unet.exploration.summary import Exploration
from nucleus_unet.io.atomic import check_writable, write_atomically
from nucleus_unet.reports.page import render
from nucleus_unet.reports.plots import PALETTE, draw_histogram

_SHOWN = 8
_LISTED = 200


class _Quantity(NamedTuple):
    title: str
    unit: str
    logarithmic: bool = False
    whole: bool = False


_QUANTITIES = {
    "area": _Quantity("Area", "pixels", logarithmic=True),
    "diameter": _Quantity("Diameter", "pixels, of a disc of the same area", logarithmic=True),
    "eccentricity": _Quantity("Eccentricity", "0 round, 1 a line"),
    "solidity": _Quantity("Solidity", "area / area of the convex hull"),
    "neighbours": _Quantity("Touching neighbours", "nuclei", whole=True),
    "intensity": _Quantity("Intensity", "mean; 0 black, 1 white"),
    "contrast": _Quantity("Contrast", f"intensity minus that of the {RING:.0f} pixels around"),
}


def write_page(exploration: Exploration, path: Path, *, title: str = "Training set") -> Path:
    """Write the page of an exploration; it replaces an earlier one whole or not at all.

    Parameters
    ----------
    exploration
        From `nucleus_unet.exploration.explore`.
    path
        Of the page, ending in ``.html`` or ``.htm``.
    title
        What the set is called.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    SettingsError
        ``path`` is a folder or has another suffix.
    MissingExtraError
        matplotlib or Jinja2 is missing.

    Examples
    --------
    >>> import tempfile
    >>> from nucleus_unet.exploration import explore
    >>> from nucleus_unet.data.dataset import Example
    >>> example = Example("a", "made up", np.eye(9, dtype=np.uint8), np.eye(9, dtype=np.uint32), "a")
    >>> write_page(explore([example]), Path(tempfile.mkdtemp()) / "set.html").name
    'set.html'
    """
    check_page_path(path)
    write_atomically(path, page_html(exploration, title=title))
    return path


def check_page_path(path: Path) -> None:
    """Find out before long work whether ``path`` is one for a page; raise `SettingsError` or `OSError` if not."""
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise SettingsError(f"{path}: expected the name of a page that ends in .html")
    check_writable(path.absolute().parent)


def page_html(exploration: Exploration, *, title: str) -> str:
    """Return the page of an exploration; equal sets give equal pages."""
    # The most frequent first, so that they get the colours.
    kinds = [kind for kind, _ in sorted(Counter(exploration.kinds).items(), key=lambda each: (-each[1], each[0]))]
    nuclei = exploration.nuclei
    problems = groupby(exploration.problems, key=lambda problem: problem.fault)
    return render(
        "exploration/page.html",
        title=title,
        counts=_counts(exploration, kinds),
        faults=[(fault, [(each.image, each.detail) for each in of_fault]) for fault, of_fault in problems],
        kinds_found=exploration.kinds_found,
        kinds=[_kind(exploration, kind, nuclei) for kind in kinds],
        shown=_SHOWN,
        sheets=[(kind, _sheet(exploration, kind)) for kind in kinds],
        media_type=MEDIA_TYPE,
        legend=_legend(kinds),
        charts=_charts(exploration, kinds, nuclei),
        formats=_formats(exploration),
        listed=_LISTED,
    )


def _counts(exploration: Exploration, kinds: Sequence[str]) -> dict[str, str]:
    counts = {
        "images": len(exploration.images),
        "nuclei": sum(len(image.nuclei) for image in exploration.images),
        "kinds": len(kinds),
    }
    fields = len({image.mosaic for image in exploration.images})
    if fields < len(exploration.images):  # else nobody has said which images show one field
        counts["fields or patients"] = fields
    return {name: f"{count:,}" for name, count in counts.items()}


def _kind(exploration: Exploration, kind: str, nuclei: dict[str, NDArray[np.float64]]) -> list[str]:
    positions = exploration.of_kind(kind)
    counts = np.array([len(exploration.images[position].nuclei) for position in positions])
    of_kind = np.isin(nuclei["image"], positions)
    columns = {name: values[of_kind] for name, values in nuclei.items()}
    return [
        kind,
        f"{len(positions):,}",
        f"{counts.sum():,}",
        _spread(counts, ".0f"),
        _spread(columns["diameter"], ".1f"),
        _spread(columns["eccentricity"], ".2f"),
        _spread(columns["solidity"], ".2f"),
        f"{(columns['neighbours'] > 0).mean():.0%}" if of_kind.any() else "none",
        _spread(columns["contrast"], ".2f"),
    ]


def _spread(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none"
    low, middle, high = np.percentile(finite, (5, 50, 95))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _sheet(exploration: Exploration, kind: str) -> list[tuple[str, str, bytes]]:
    positions = exploration.of_kind(kind)
    counts = [len(exploration.images[position].nuclei) for position in positions]
    figures = []
    for chosen in choose(counts, _SHOWN):
        example = exploration.examples[positions[chosen]]
        figures.append((example.name, counted(counts[chosen], "nucleus"), thumbnail(example.image, example.labels)))
    return figures


def _legend(kinds: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """Name the groups that charts draw: the most frequent kinds, and all others as one."""
    own = len(PALETTE) - 1
    names = [*kinds[:own], "other kinds"] if len(kinds) > own else list(kinds)
    return list(zip(names, PALETTE, strict=False))


def _charts(
    exploration: Exploration, kinds: Sequence[str], nuclei: dict[str, NDArray[np.float64]]
) -> list[tuple[str, bytes]]:
    groups = len(_legend(kinds))
    rank = {kind: min(number, groups - 1) for number, kind in enumerate(kinds)}
    group = np.array([rank[kind] for kind in exploration.kinds])
    counts = np.array([len(image.nuclei) for image in exploration.images], np.float64)
    charts = [_chart(_Quantity("Nuclei per image", "nuclei", whole=True), counts, group, groups)]
    group_of_nucleus = group[nuclei["image"].astype(np.intp)]
    return charts + [
        _chart(quantity, nuclei[name].astype(np.float64), group_of_nucleus, groups)
        for name, quantity in _QUANTITIES.items()
    ]


def _chart(quantity: _Quantity, values: NDArray[np.float64], group: NDArray[np.intp], groups: int) -> tuple[str, bytes]:
    drawn = draw_histogram(
        [values[group == each] for each in range(groups)],
        unit=quantity.unit,
        logarithmic=quantity.logarithmic,
        whole=quantity.whole,
    )
    return quantity.title, drawn


def _formats(exploration: Exploration) -> list[list[str]]:
    counts = Counter((each.height, each.width, each.channels, each.dtype) for each in exploration.images)
    return [
        [f"{height} x {width}", "grey" if channels == 1 else "colour", dtype, f"{count:,}"]
        for (height, width, channels, dtype), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]
