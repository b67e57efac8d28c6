"""Pages for people: one HTML file each, from a Jinja2 template beside the code that fills it in.

A page opens without a network, on a laptop and on a phone. Templates escape whatever they are given.
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
    """Say what to install if Jinja2 or matplotlib is missing, before any long work that ends in a page.

    Raises
    ------
    MissingExtraError
        The message names the command.
    """
    require_jinja()
    require_matplotlib()


def require_jinja() -> Any:
    """Return Jinja2, or say what to install if it is missing."""
    return require("jinja2", "pages need Jinja2", extra="plot")


def render(template: str, **values: object) -> str:
    """Fill in a template.

    Parameters
    ----------
    template
        Path of the template in this package.
    values
        What the template uses; plain text is escaped.

    Examples
    --------
    >>> "<h1>Cells &amp; more</h1>" in render("reports/base.html", title="Cells & more")
    True
    """
    return _environment().get_template(template).render(values)


def embedded(picture: bytes, media_type: str = "image/png") -> str:
    """Return the address of a picture that the page itself holds."""
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
    environment.filters |= {"embedded": embedded, "figure": "{:.3f}".format, "thousands": "{:,}".format}
    environment.globals["version"] = nucleus_unet.__version__
    return environment
