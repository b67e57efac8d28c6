"""``nucleus-unet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.options import Formats, read_formats
from nucleus_unet.cli.shared import Out


def export(
    folder: Annotated[Path, typer.Argument(help="Results of `nucleus-unet slide`.")],
    out: Out,
    formats: Formats,
    name: Annotated[
        str | None, typer.Option(help="Name of the image in rle and coco; by default the name of the folder.")
    ] = None,
) -> None:
    """Write the nuclei of a finished slide in other formats, in bounded memory."""
    from nucleus_unet.progress import tracker
    from nucleus_unet.slides.export import export_slide

    chosen = read_formats(formats)
    for path in export_slide(folder, out, formats=chosen, name=name, track=lambda what: tracker(what, show=True)):
        typer.echo(path)
