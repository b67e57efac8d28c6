"""The HTML page of an exploration. It is one file with embedded pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.exploration.contact_sheet import THUMBNAIL_MEDIA_TYPE, choose_images, thumbnail
from nucleus_unet.exploration.nucleus_statistics import RING
from nucleus_unet.exploration.summary import Exploration
from nucleus_unet.io.atomic import check_writable, write_atomically
from nucleus_unet.reports.page import render
from nucleus_unet.reports.plots import PALETTE, draw_histogram
from nucleus_unet.wording import counted

_PICTURES_PER_CATEGORY = 8
_MAX_LISTED = 200


class _Quantity(NamedTuple):
    title: str
    unit: str
    logarithmic: bool = False
    whole: bool = False


_QUANTITIES = {
    "area": _Quantity("Area", "pixels", logarithmic=True),
    "diameter": _Quantity("Diameter", "pixels (disc of the same area)", logarithmic=True),
    "eccentricity": _Quantity("Eccentricity", "0: circle, 1: line"),
    "solidity": _Quantity("Solidity", "area / area of the convex hull"),
    "neighbours": _Quantity("Touching neighbours", "nuclei", whole=True),
    "intensity": _Quantity("Intensity", "mean; 0: black, 1: white"),
    "contrast": _Quantity("Contrast", f"intensity minus that of a ring of {RING:.0f} pixels"),
}


def write_page(exploration: Exploration, path: Path, *, title: str = "Training set") -> Path:
    """Write the page of an exploration atomically. An existing page is replaced.

    Parameters
    ----------
    exploration
        Exploration from `nucleus_unet.exploration.explore`.
    path
        Path of the page. It ends in ``.html`` or ``.htm``.
    title
        Title of the page.

    Returns
    -------
    Path
        Path of the page.

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
    write_atomically(path, exploration_html(exploration, title=title))
    return path


def check_page_path(path: Path) -> None:
    """Check before a long computation that a page can be written to ``path``.

    Raises
    ------
    SettingsError
        ``path`` is a folder or has another suffix than ``.html`` or ``.htm``.
    OSError
        Its folder is not writable.
    """
    if path.suffix.lower() not in (".html", ".htm") or path.is_dir():
        raise SettingsError(f"{path}: expected a file name that ends in .html")
    check_writable(path.absolute().parent)


def exploration_html(exploration: Exploration, *, title: str) -> str:
    """Return the page of an exploration. Equal sets give equal pages."""
    # The most frequent categories come first, so that they get their own colours.
    counts = Counter(exploration.categories)
    categories = sorted(counts, key=lambda category: (-counts[category], category))
    nuclei = exploration.nuclei
    problems = groupby(exploration.problems, key=lambda problem: problem.type)
    return render(
        "exploration/page.html",
        title=title,
        counts=_counts(exploration, categories),
        problem_types=[
            (problem_type, [(each.image, each.detail) for each in found]) for problem_type, found in problems
        ],
        clustered=exploration.categories_are_clusters,
        categories=[_category(exploration, category, nuclei) for category in categories],
        shown=_PICTURES_PER_CATEGORY,
        sheets=[(category, _sheet(exploration, category)) for category in categories],
        media_type=THUMBNAIL_MEDIA_TYPE,
        legend=_legend(categories),
        charts=_charts(exploration, categories, nuclei),
        formats=_formats(exploration),
        listed=_MAX_LISTED,
    )


def _counts(exploration: Exploration, categories: Sequence[str]) -> dict[str, str]:
    counts = {
        "images": len(exploration.images),
        "nuclei": sum(len(image.nuclei) for image in exploration.images),
        "categories": len(categories),
    }
    fields = len({image.field_id for image in exploration.images})
    if fields < len(exploration.images):  # otherwise the fields are unknown
        counts["fields or patients"] = fields
    return {name: f"{count:,}" for name, count in counts.items()}


def _category(exploration: Exploration, category: str, nuclei: dict[str, NDArray[np.float64]]) -> list[str]:
    positions = exploration.in_category(category)
    counts = np.array([len(exploration.images[position].nuclei) for position in positions])
    in_category = np.isin(nuclei["image"], positions)
    columns = {name: values[in_category] for name, values in nuclei.items()}
    return [
        category,
        f"{len(positions):,}",
        f"{counts.sum():,}",
        _spread(counts, ".0f"),
        _spread(columns["diameter"], ".1f"),
        _spread(columns["eccentricity"], ".2f"),
        _spread(columns["solidity"], ".2f"),
        f"{(columns['neighbours'] > 0).mean():.0%}" if in_category.any() else "none",
        _spread(columns["contrast"], ".2f"),
    ]


def _spread(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none"
    low, middle, high = np.percentile(finite, (5, 50, 95))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _sheet(exploration: Exploration, category: str) -> list[tuple[str, str, bytes]]:
    positions = exploration.in_category(category)
    counts = [len(exploration.images[position].nuclei) for position in positions]
    figures = []
    for chosen in choose_images(counts, _PICTURES_PER_CATEGORY):
        example = exploration.examples[positions[chosen]]
        figures.append((example.name, counted(counts[chosen], "nucleus"), thumbnail(example.image, example.labels)))
    return figures


def _legend(categories: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """Return name and colour of the groups in the charts: the most frequent categories, and the rest as one group."""
    own = len(PALETTE) - 1
    names = [*categories[:own], "other categories"] if len(categories) > own else list(categories)
    return list(zip(names, PALETTE, strict=False))


def _charts(
    exploration: Exploration, categories: Sequence[str], nuclei: dict[str, NDArray[np.float64]]
) -> list[tuple[str, bytes]]:
    groups = len(_legend(categories))
    rank = {category: min(number, groups - 1) for number, category in enumerate(categories)}
    group = np.array([rank[category] for category in exploration.categories])
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
