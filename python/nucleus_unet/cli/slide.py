"""``nucleus-unet slide``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import Augment, Device, Model


def slide(
    image: Annotated[Path, typer.Argument(help="TIFF, SVS, OME-TIFF, BigTIFF, .npy, or any image file.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; the same command goes on with a stopped run.")],
    model: Model = None,
    device: Device = "auto",
    threshold: Annotated[float | None, typer.Option(help="Least foreground probability.")] = None,
    min_area: Annotated[int | None, typer.Option(help="Drop smaller nuclei (pixels).")] = None,
    diameter: Annotated[float | None, typer.Option(help="Typical nuclear diameter in pixels.")] = None,
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel.")] = None,
    channel: Annotated[str | None, typer.Option(help="Number or name of the channel to use.")] = None,
    augment: Augment = False,
    tile: Annotated[int | None, typer.Option(help="Side of a tile in pixels.")] = None,
    block: Annotated[int | None, typer.Option(help="Side of what one grouping step decides, in pixels.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads beside the network's; by default up to four.")] = None,
) -> None:
    """Find the nuclei of an image of any size, in bounded memory; killed or stopped, it goes on where it was."""
    from nucleus_unet.segmenter import DEFAULT_TILE, Segmenter

    result = Segmenter.from_pretrained(model, device=device).predict_slide(
        image,
        out=out,
        threshold=threshold,
        min_area=min_area,
        diameter=diameter,
        mpp=mpp,
        channel=int(channel) if channel is not None and channel.isdecimal() else channel,
        augment=augment,
        tile=DEFAULT_TILE if tile is None else tile,
        block=block,
        workers=workers,
        progress=True,
    )
    typer.echo(f"{len(result)} nuclei, written to {result.folder}")
