"""The page of an exploration: one HTML file with everything in it, pictures too."""

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
from nucleus_unet.exploration.contact_sheet import MEDIA_TYPE, choose, thumbnail
from nucleus_unet.exploration.data_checks import Problem, counted
from nucleus_unet.exploration.nucleus_statistics import RING
from nucleus_unet.exploration.summary import Exploration
from nucleus_unet.io.atomic import check_writable, write_atomically
from nucleus_unet.reports.page import embedded, facts, key, page, table
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

_STYLE = """\
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .6rem; }
.sheet figure { margin: 0; }
.sheet img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .25rem; background: #eee; }
.sheet figcaption { color: #666; font-size: .8rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.legend span.kind { white-space: nowrap; }
td { overflow-wrap: anywhere; }
.problems td { white-space: normal; text-align: left; }
"""

_BODY = """\
{facts}
<p>{wrong}</p>
<h2>Kinds of image</h2>
<p class="note">{origin} Medians; in brackets where nine of ten nuclei lie.</p>
{kinds}
<h2>Contact sheet</h2>
<p class="note">Up to {shown} images of every kind, from the sparsest to the most crowded, stretched as the network sees
them, the masks outlined. Large ones are drawn smaller, and all are cut to a square.</p>
{sheet}
<h2>Distributions</h2>
<p class="legend">{legend}</p>
<div class="charts">{charts}</div>
<p class="note">Of every nucleus, but for the first. Intensity and contrast are of the image as the network sees it:
stretched so that percentile 1 is black and 99.8 white. Contrast is negative where nuclei are darker than what is around
them. Eccentricity is that of the ellipse of the same second moments. Touching nuclei share an edge or corner of a
pixel.</p>
<h2>Sizes and types</h2>
{formats}
<h2 id="wrong">What looks wrong</h2>
{problems}
<p class="note">Written by nucleus-unet {version}. This page holds its pictures and needs no network.</p>"""


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
    body = _BODY.format(
        facts=_facts(exploration, kinds),
        wrong=_summary(exploration.problems),
        origin="Found by clustering images of like brightness, colour and size of nuclei."
        if exploration.kinds_found
        else "As the set names them.",
        kinds=_kinds(exploration, kinds, nuclei),
        shown=_SHOWN,
        sheet="\n".join(_sheet(exploration, kind) for kind in kinds),
        legend="".join(f'<span class="kind">{key(colour)}{escape(name)}</span> ' for name, colour in _legend(kinds)),
        charts="\n".join(_charts(exploration, kinds, nuclei)),
        formats=_formats(exploration),
        problems=_problems(exploration.problems),
        version=escape(__version__),
    )
    return page(title, body, style=_STYLE)


def _facts(exploration: Exploration, kinds: Sequence[str]) -> str:
    counts = {
        "images": len(exploration.images),
        "nuclei": sum(len(image.nuclei) for image in exploration.images),
        "kinds": len(kinds),
    }
    fields = len({image.mosaic for image in exploration.images})
    if fields < len(exploration.images):  # else nobody has said which images show one field
        counts["fields or patients"] = fields
    return facts({name: f"{count:,}" for name, count in counts.items()})


def _summary(problems: Sequence[Problem]) -> str:
    if not problems:
        return "Nothing looks wrong."
    counts = Counter(problem.fault for problem in problems)
    listed = ", ".join(f"{fault.title} ({count})" for fault, count in counts.items())
    return f'<a href="#wrong">What looks wrong</a>, with the number of images: {listed}.'


def _kinds(exploration: Exploration, kinds: Sequence[str], nuclei: dict[str, NDArray[np.float64]]) -> str:
    header = [
        "",
        "images",
        "nuclei",
        "nuclei an image",
        "diameter (pixels)",
        "eccentricity",
        "solidity",
        "touching",
        "contrast",
    ]
    rows = []
    for kind in kinds:
        positions = exploration.of_kind(kind)
        counts = np.array([len(exploration.images[position].nuclei) for position in positions])
        of_kind = np.isin(nuclei["image"], positions)
        columns = {name: values[of_kind] for name, values in nuclei.items()}
        rows.append(
            [kind, f"{len(positions):,}", f"{counts.sum():,}", _spread(counts, ".0f")]
            + [_spread(columns["diameter"], ".1f")]
            + [_spread(columns[name], ".2f") for name in ("eccentricity", "solidity")]
            + [f"{(columns['neighbours'] > 0).mean():.0%}" if of_kind.any() else "none"]
            + [_spread(columns["contrast"], ".2f")]
        )
    return table(header, rows)


def _spread(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none"
    low, middle, high = np.percentile(finite, (5, 50, 95))
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _sheet(exploration: Exploration, kind: str) -> str:
    positions = exploration.of_kind(kind)
    counts = [len(exploration.images[position].nuclei) for position in positions]
    figures = []
    for chosen in choose(counts, _SHOWN):
        example = exploration.examples[positions[chosen]]
        name = escape(example.name)
        picture = embedded(thumbnail(example.image, example.labels), MEDIA_TYPE)
        figures.append(
            f'<figure><img alt="{name}" src="{picture}">'
            f'<figcaption title="{name}">{counted(counts[chosen], "nucleus")} · {name}</figcaption></figure>'
        )
    return f'<h3>{escape(kind)}</h3>\n<div class="sheet">{"".join(figures)}</div>'


def _legend(kinds: Sequence[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """Name the groups that charts draw: the most frequent kinds, and all others as one."""
    own = len(PALETTE) - 1
    names = [*kinds[:own], "other kinds"] if len(kinds) > own else list(kinds)
    return list(zip(names, PALETTE, strict=False))


def _charts(exploration: Exploration, kinds: Sequence[str], nuclei: dict[str, NDArray[np.float64]]) -> list[str]:
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
        return "<p>Nothing.</p>"
    parts = []
    for fault, of_fault in groupby(problems, key=lambda problem: problem.fault):
        found = list(of_fault)
        listed = table(["image", ""], [[problem.image, problem.detail] for problem in found[:_LISTED]])
        more = f"<p>and {len(found) - _LISTED:,} more</p>" if len(found) > _LISTED else ""
        parts.append(
            f"<details><summary>{fault.title}: {len(found):,} "
            f"{'image' if len(found) == 1 else 'images'}</summary>\n"
            f'<p class="note">{fault.meaning}</p>\n<div class="problems">{listed}</div>{more}</details>'
        )
    return "\n".join(parts)
