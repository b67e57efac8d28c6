"""HTML pages from Jinja2 templates, which escape all text. Each page is one file that works offline.

The template of a page is beside the module that fills it in.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nucleus_unet
from nucleus_unet.extras import require
from nucleus_unet.reports.plots import require_matplotlib

if TYPE_CHECKING:
    from jinja2 import Environment


def require_page_packages() -> None:
    """Check before a long computation that Jinja2 and matplotlib are installed.

    Raises
    ------
    MissingExtraError
        The message names the command.
    """
    require_jinja()
    require_matplotlib()


def require_jinja() -> Any:
    """Return the package Jinja2. `MissingExtraError` names the command that installs it."""
    return require("jinja2", "pages need Jinja2", extra="plot")


def render(template: str, **values: object) -> str:
    """Return the page that a template makes of values.

    Parameters
    ----------
    template
        Path of the template in this package.
    values
        Values of the template's variables. Text is escaped.

    Examples
    --------
    >>> "<h1>Cells &amp; more</h1>" in render("reports/base.html", title="Cells & more")
    True
    """
    return _environment().get_template(template).render(values)


def embedded(picture: bytes, media_type: str = "image/png") -> str:
    """Return the data URI of a picture, which embeds it in the page."""
    return f"data:{media_type};base64," + base64.b64encode(picture).decode()


@cache
def _environment() -> Environment:
    jinja2 = require_jinja()
    environment: Environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(nucleus_unet.__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"embedded": embedded, "metric": "{:.3f}".format, "thousands": "{:,}".format}
    environment.globals["version"] = nucleus_unet.__version__
    return environment
