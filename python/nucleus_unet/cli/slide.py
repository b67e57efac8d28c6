"""``nucleus-unet slide``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import (
    Augment,
    Channel,
    Device,
    Diameter,
    MinArea,
    Model,
    Mpp,
    Threshold,
    TileSide,
    read_channel,
)


def slide(
    image: Annotated[
        Path, typer.Argument(help="TIFF, SVS, OME-TIFF, OME-Zarr, NDPI, MRXS, DICOM, .npy, or any image.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; the same command goes on with a stopped run.")],
    model: Model = None,
    device: Device = "auto",
    threshold: Threshold = None,
    min_area: MinArea = None,
    diameter: Diameter = None,
    mpp: Mpp = None,
    channel: Channel = None,
    augment: Augment = False,
    tile: TileSide = None,
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
        channel=read_channel(channel),
        augment=augment,
        tile=DEFAULT_TILE if tile is None else tile,
        block=block,
        workers=workers,
        progress=True,
    )
    typer.echo(f"{len(result)} nuclei, written to {result.folder}")
