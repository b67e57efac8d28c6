"""HTML pages: each is one file that works offline, on a laptop and on a phone."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, p { overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; margin: .5rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 7rem; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
thead tr:not(:last-child) th { text-align: center; border-bottom-width: 1px; }
thead tr:not(:last-child) th:empty { border: 0; }
.wide { overflow-x: auto; }
figure { margin: 1.5rem 0; }
figcaption { overflow-wrap: anywhere; }
img { max-width: 100%; }
.key { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -.1em; }
.note { color: #666; max-width: 60rem; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .5rem; padding: 0; }
.facts li { list-style: none; background: #f4f6f8; border-radius: .5rem; padding: .6rem .9rem; }
.facts b { display: block; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
.charts figure { margin: 0; }
.charts img { width: 100%; }
.charts figcaption { font-weight: 600; }
summary { cursor: pointer; font-weight: 600; margin: .5rem 0; }
"""


def page(title: str, body: str, *, style: str = "") -> str:
    """Return an HTML page.

    Parameters
    ----------
    title
        Title as plain text.
    body
        HTML below the title.
    style
        CSS in addition to the common style.

    Examples
    --------
    >>> "<h1>Cells &amp; more</h1>" in page("Cells & more", "<p>none</p>")
    True
    """
    return _PAGE.format(title=escape(title), style=_STYLE + style, body=body)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, above: str = "") -> str:
    """Return an HTML table, which scrolls horizontally if the page is narrower.

    Parameters
    ----------
    header, rows
        Cells as plain text. The first column is left-aligned and wraps.
    above
        HTML of a row above the header.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead>{above}<tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n'


def metric_tiles(values: Mapping[str, str]) -> str:
    """Return a row of tiles, each with a value in large type above its name. Both are plain text."""
    items = "".join(f"<li><b>{escape(value)}</b>{escape(name)}</li>" for name, value in values.items())
    return f'<ul class="facts">{items}</ul>'


def colour_swatch(colour: tuple[int, int, int]) -> str:
    """Return a small square of a colour, for a legend."""
    return f'<span class="key" style="background: rgb{colour}"></span>'


def embedded(picture: bytes, media_type: str = "image/png") -> str:
    """Return the data URI of a picture, which embeds it in the page."""
    return f"data:{media_type};base64," + base64.b64encode(picture).decode()
