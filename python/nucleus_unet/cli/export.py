"""``nucleus-unet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.cli.options import Formats, read_formats
from nucleus_unet.cli.shared import Out


@answering
def export(
    folder: Annotated[Path, typer.Argument(help="Results of `nucleus-unet slide`.")],
    out: Out,
    formats: Formats,
    answer: Answer,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the image in rle, coco, anndata and spatialdata; by default the name of the folder."
        ),
    ] = None,
) -> None:
    """Write the nuclei of a finished slide in other formats, in bounded memory."""
    from nucleus_unet.progress import tracker
    from nucleus_unet.slides.export import export_slide

    chosen = read_formats(formats)
    written = export_slide(folder, out, formats=chosen, name=name, track=lambda what: tracker(what, show=True))
    answer.set(folder=str(folder), formats=chosen, files=[str(path) for path in written])
    for path in written:
        typer.echo(path)
