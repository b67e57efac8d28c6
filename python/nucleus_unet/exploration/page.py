"""The HTML page of an exploration. It is one file with embedded pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import __version__
from nucleus_unet.errors import SettingsError
from nucleus_unet.exploration.contact_sheet import THUMBNAIL_MEDIA_TYPE, choose_images, thumbnail
from nucleus_unet.exploration.data_checks import Problem, counted
from nucleus_unet.exploration.nucleus_statistics import RING
from nucleus_unet.exploration.summary import Exploration
from nucleus_unet.io.atomic import check_writable, write_atomically
from nucleus_unet.reports.page import colour_swatch, embedded, metric_tiles, page, table
from nucleus_unet.reports.plots import PALETTE, draw_histogram

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

_STYLE = """\
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem; }
.sheet figure { margin: 0; }
.sheet img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .25rem; background: #eee; }
.sheet figcaption { color: #666; font-size: .8rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.legend span.category { white-space: nowrap; }
td { overflow-wrap: anywhere; }
.problems td { white-space: normal; text-align: left; }
"""

_BODY = """\
{facts}
<p>{summary}</p>
<h2>Image categories</h2>
<p class="note">{origin} The table shows medians, and in brackets percentiles 5 to 95.</p>
{categories}
<h2>Contact sheet</h2>
<p class="note">Up to {pictures} images of every category, in ascending order of their number of nuclei. The intensities
are normalised as for the network, and the masks are outlined. Large images are downsampled, and all images are cropped
to a square.</p>
{sheet}
<h2>Distributions</h2>
<p class="legend">{legend}</p>
<div class="charts">{charts}</div>
<p class="note">The first chart counts images, all others count nuclei. Intensity and contrast are measured on the
normalised image: percentile 1 is black and percentile 99.8 is white. Contrast is negative if a nucleus is darker than
its surroundings. Eccentricity is that of the ellipse with the same second moments. Touching nuclei share a pixel edge
or corner.</p>
<h2>Image sizes and types</h2>
{formats}
<h2 id="problems">Possible problems</h2>
{problems}
<p class="note">Written by nucleus-unet {version}. This page contains its pictures and works offline.</p>"""


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
        matplotlib is missing.

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
    swatches = ((colour_swatch(colour), escape(name)) for name, colour in _legend(categories))
    body = _BODY.format(
        facts=_facts(exploration, categories),
        summary=_summary(exploration.problems),
        origin="The images are clustered by brightness, colour and nuclear diameter."
        if exploration.categories_are_clusters
        else "The categories are those of the set.",
        categories=_categories(exploration, categories, nuclei),
        pictures=_PICTURES_PER_CATEGORY,
        sheet="\n".join(_sheet(exploration, category) for category in categories),
        legend="".join(f'<span class="category">{swatch}{name}</span> ' for swatch, name in swatches),
        charts="\n".join(_charts(exploration, categories, nuclei)),
        formats=_formats(exploration),
        problems=_problems(exploration.problems),
        version=escape(__version__),
    )
    return page(title, body, style=_STYLE)


def _facts(exploration: Exploration, categories: Sequence[str]) -> str:
    counts = {
        "images": len(exploration.images),
        "nuclei": sum(len(image.nuclei) for image in exploration.images),
        "categories": len(categories),
    }
    fields = len({image.field_id for image in exploration.images})
    if fields < len(exploration.images):  # otherwise the fields are unknown
        counts["fields or patients"] = fields
    return metric_tiles({name: f"{count:,}" for name, count in counts.items()})


def _summary(problems: Sequence[Problem]) -> str:
    if not problems:
        return "No possible problems were found."
    counts = Counter(problem.type for problem in problems)
    listed = ", ".join(f"{problem_type.title} ({count})" for problem_type, count in counts.items())
    return f'<a href="#problems">Possible problems</a>, with the number of images: {listed}.'


def _categories(exploration: Exploration, categories: Sequence[str], nuclei: dict[str, NDArray[np.float64]]) -> str:
    header = ["", "images", "nuclei", "nuclei per image", "diameter (pixels)"]
    header += ["eccentricity", "solidity", "touching", "contrast"]
    rows = []
    for category in categories:
        positions = exploration.in_category(category)
        counts = np.array([len(exploration.images[position].nuclei) for position in positions])
        in_category = np.isin(nuclei["image"], positions)
        columns = {name: values[in_category] for name, values in nuclei.items()}
        rows.append(
            [category, f"{len(positions):,}", f"{counts.sum():,}", _spread(counts, ".0f")]
            + [_spread(columns["diameter"], ".1f")]
            + [_spread(columns[name], ".2f") for name in ("eccentricity", "solidity")]
            + [f"{(columns['neighbours'] > 0).mean():.0%}" if in_category.any() else "none"]
            + [_spread(columns["contrast"], ".2f")]
        )
    return table(header, rows)


def _spread(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none"
    low, middle, high = np.percentile(finite, (5, 50, 95))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _sheet(exploration: Exploration, category: str) -> str:
    positions = exploration.in_category(category)
    counts = [len(exploration.images[position].nuclei) for position in positions]
    figures = []
    for chosen in choose_images(counts, _PICTURES_PER_CATEGORY):
        example = exploration.examples[positions[chosen]]
        name = escape(example.name)
        picture = embedded(thumbnail(example.image, example.labels), THUMBNAIL_MEDIA_TYPE)
        figures.append(
            f'<figure><img alt="{name}" src="{picture}">'
            f'<figcaption title="{name}">{counted(counts[chosen], "nucleus")} · {name}</figcaption></figure>'
        )
    return f'<h3>{escape(category)}</h3>\n<div class="sheet">{"".join(figures)}</div>'


def _legend(categories: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """Return name and colour of the groups in the charts: the most frequent categories, and the rest as one group."""
    own = len(PALETTE) - 1
    names = [*categories[:own], "other categories"] if len(categories) > own else list(categories)
    return list(zip(names, PALETTE, strict=False))


def _charts(exploration: Exploration, categories: Sequence[str], nuclei: dict[str, NDArray[np.float64]]) -> list[str]:
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


def _chart(quantity: _Quantity, values: NDArray[np.float64], group: NDArray[np.intp], groups: int) -> str:
    drawn = draw_histogram(
        [values[group == each] for each in range(groups)],
        unit=quantity.unit,
        logarithmic=quantity.logarithmic,
        whole=quantity.whole,
    )
    source = embedded(drawn, "image/svg+xml")
    return f'<figure><figcaption>{quantity.title}</figcaption><img alt="{quantity.title}" src="{source}"></figure>'


def _formats(exploration: Exploration) -> str:
    counts = Counter((each.height, each.width, each.channels, each.dtype) for each in exploration.images)
    rows = [
        [f"{height} x {width}", "grey" if channels == 1 else "colour", dtype, f"{count:,}"]
        for (height, width, channels, dtype), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]
    return table(["height x width", "channels", "type", "images"], rows)


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return "<p>None.</p>"
    parts = []
    for problem_type, of_type in groupby(problems, key=lambda problem: problem.type):
        found = list(of_type)
        listed = table(["image", ""], [[problem.image, problem.detail] for problem in found[:_MAX_LISTED]])
        more = f"<p>and {len(found) - _MAX_LISTED:,} more</p>" if len(found) > _MAX_LISTED else ""
        parts.append(
            f"<details><summary>{problem_type.title}: {len(found):,} "
            f"{'image' if len(found) == 1 else 'images'}</summary>\n"
            f'<p class="note">{problem_type.meaning}</p>\n<div class="problems">{listed}</div>{more}</details>'
        )
    return "\n".join(parts)
