"""``nucleus-unet info``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from nucleus_unet.cli.answers import SOME_FAILED, document
from nucleus_unet.cli.inputs import tell_failure
from nucleus_unet.errors import NucleusError


def info(
    files: Annotated[list[Path], typer.Argument(help="Image files, or Zarr folders.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, one line for each file; errors too.")] = False,
) -> None:
    """Show what a file contains: axes, channels, pixel size, scenes, and what `predict` takes or asks for.

    No pixels are read, as far as the format allows.
    """
    from nucleus_unet.io.description import describe
    from nucleus_unet.io.source import open_image

    failed = False
    for path in files:
        try:
            with open_image(path) as source:
                said = describe(source)
        except (NucleusError, OSError) as error:
            tell_failure(str(error))
            failed = True
            if as_json:
                typer.echo(document("info", SOME_FAILED, error, {"file": str(path)}))
            continue
        typer.echo(document("info", 0, None, said) if as_json else _as_text(said))
    if failed:
        raise typer.Exit(SOME_FAILED)


def _as_text(said: Mapping[str, Any]) -> str:
    images, scenes = said["images"], said["scenes"]
    lines = [said["file"], _line("format", said["format"])]
    if len(scenes) > 1:
        lines.append(_line("scenes", str(len(scenes))))
    for number, image in enumerate(images):
        if len(scenes) > 1:
            lines.append(f"  scene {number} {image['name']}".rstrip())
        lines += _image_lines(image)
    if len(scenes) > len(images):
        lines.append(f"  scenes {len(images)} to {len(scenes) - 1}: {scenes[len(images)]} to {scenes[-1]}")
    if len(scenes) > 1:
        lines.append(_line("predict", said["predict"]))
    lines += [_line("not read", each) for each in said["not_read"]]
    return "\n".join(lines)


def _image_lines(image: Mapping[str, Any]) -> list[str]:
    lines = []
    if "axes" in image:
        lines.append(_line("axes", ", ".join(f"{axis} {size}" for axis, size in image["axes"].items())))
        lines.append(_line("dtype", image["dtype"]))
        channels = [_channel(number, each) for number, each in enumerate(image["channels"])]
        lines.append(_line("channels", ", ".join(channels) or "grey values"))
        size = image["pixel_size"]
        lines.append(_line("pixel size", "unknown" if size is None else f"{size:.4g} micrometres"))
        if len(image["levels"]) > 1:
            lines.append(_line("levels", ", ".join(f"{height} x {width}" for height, width in image["levels"])))
        if any(image["origin"]):
            lines.append(_line("origin", "row {}, column {} of the scanner's canvas".format(*image["origin"])))
    lines.append(_line("predict", image["predict"]))
    return lines


def _channel(number: int, channel: Mapping[str, Any]) -> str:
    name = channel["name"] if channel["name"] != str(number) else ""
    shown = f"{number} {name}".rstrip()
    return f"{shown} ({channel['colour']})" if channel["colour"] else shown


def _line(what: str, value: str) -> str:
    return f"  {what:<11} {value}"
