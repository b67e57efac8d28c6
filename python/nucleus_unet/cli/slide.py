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
from nucleus_unet.errors import SettingsError


def slide(
    image: Annotated[Path, typer.Argument(help="TIFF, SVS, OME-TIFF, BigTIFF, .npy, or any image file.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; the same command goes on with a stopped run.")],
    model: Model = None,
    device: Device = "auto",
    threshold: Threshold = None,
    min_area: MinArea = None,
    diameter: Diameter = None,
    mpp: Mpp = None,
    channel: Channel = None,
    augment: Augment = False,
    tissue: Annotated[bool, typer.Option("--tissue/--no-tissue", help="Pass over empty glass, or look at all.")] = True,
    tile: TileSide = None,
    block: Annotated[int | None, typer.Option(help="Side of what one grouping step decides, in pixels.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads beside the network's; by default up to four.")] = None,
    shard: Annotated[
        str | None, typer.Option(help="3/20: do the third of twenty shares, at once with others on shared storage.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Write the results when all shares are done.")] = False,
) -> None:
    """Find the nuclei of an image of any size, in bounded memory; killed or stopped, it goes on where it was."""
    from nucleus_unet.segmenter import DEFAULT_TILE, Segmenter, SlideOptions

    if shard is not None and merge:
        raise SettingsError("give --shard or --merge, not both: shards are merged when all are done")
    options: SlideOptions = {
        "threshold": threshold,
        "min_area": min_area,
        "diameter": diameter,
        "mpp": mpp,
        "channel": read_channel(channel),
        "augment": augment,
        "tissue": tissue,
        "tile": DEFAULT_TILE if tile is None else tile,
        "block": block,
        "workers": workers,
        "progress": True,
    }
    segmenter = Segmenter.from_pretrained(model, device=device)
    if shard is not None:
        segmenter.predict_slide(image, out=out, shard=_read_shard(shard), **options)
        typer.echo(f"shard {shard} is done; when all are: the same command with --merge in place of --shard")
        return
    result = segmenter.predict_slide(image, out=out, merge=merge, **options)
    typer.echo(f"{len(result)} nuclei, written to {result.folder}")


def _read_shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise SettingsError(f"shard: expected something like 3/20, got {text}")
    return int(number), int(of)
