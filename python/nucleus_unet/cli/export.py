"""``nucleus-unet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    folder: Annotated[Path, typer.Argument(help="Results of `nucleus-unet slide`.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="Comma-separated: geojson (not compressed), rle (CSV), coco (polygons), omezarr (0.5), omezarr0.4.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Of the image, in rle and coco; by default the folder's name.")
    ] = None,
) -> None:
    """Write the nuclei of a finished slide in further formats, in bounded memory."""
    from nucleus_unet.progress import tracker
    from nucleus_unet.slides.export import export_slide

    chosen = [each.strip() for each in formats.split(",") if each.strip()]
    for path in export_slide(folder, out, formats=chosen, name=name, track=lambda what: tracker(what, show=True)):
        typer.echo(path)
