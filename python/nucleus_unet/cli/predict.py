"""``nucleus-unet predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nucleus_unet.cli.inputs import each_in_turn, end_with, expand, with_targets
from nucleus_unet.cli.shared import (
    Augment,
    Channel,
    Dab,
    Device,
    Diameter,
    MinArea,
    Model,
    Mpp,
    Precision,
    Threshold,
    TileSide,
    bundle_path,
    read_channel,
    show,
)
from nucleus_unet.errors import SettingsError
from nucleus_unet.io.pictures import SUFFIXES

if TYPE_CHECKING:
    from nucleus_unet.segmenter import PredictOptions, Segmenter

_FORMATS = {"tif": ".tif", "csv": ".csv", "geojson": ".geojson", "png": ".png"}


def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: tif (labels), csv (RLE), geojson, png (overlay).")
    ] = "tif,geojson",
    threshold: Threshold = None,
    min_area: MinArea = None,
    diameter: Diameter = None,
    mpp: Mpp = None,
    channel: Channel = None,
    augment: Augment = False,
    dab: Dab = None,
    tile: TileSide = None,
    batch_size: Annotated[int, typer.Option(help="Tiles in one network call.")] = 1,
) -> None:
    """Find the nuclei of images, one after another, in constant memory.

    A file that cannot be read is reported and passed over; the command then ends with a list of those and exit code 1.
    """
    from nucleus_unet.segmenter import Segmenter

    suffixes = _chosen_formats(formats)
    segmenter = Segmenter.from_pretrained(bundle_path(model), device=device, precision=precision)
    options: PredictOptions = {
        "threshold": threshold,
        "min_area": min_area,
        "diameter": diameter,
        "mpp": mpp,
        "channel": read_channel(channel),
        "augment": augment,
        "dab": dab,
        "tile": tile,
        "batch_size": batch_size,
    }
    segmenter.check_options(**options)
    pictures = list(with_targets(expand(images), out, suffixes=suffixes))
    if not pictures:
        raise SettingsError(f"no image found in: {', '.join(images)} (known are {', '.join(SUFFIXES)})")
    _refuse_to_overwrite(pictures, suffixes)
    out.mkdir(parents=True, exist_ok=True)
    nuclei, failures = each_in_turn(
        show(pictures, "images"), lambda path, target: _predict_one(segmenter, path, target, suffixes, options)
    )
    typer.echo(f"{nuclei} nuclei in {len(pictures) - len(failures)} images, written to {out}")
    end_with(failures)


def _refuse_to_overwrite(pictures: Sequence[tuple[Path, Path]], suffixes: Sequence[str]) -> None:
    inputs = {path.resolve() for path, _ in pictures}
    for _, target in pictures:
        for suffix in suffixes:
            if (result := target.with_name(target.name + suffix)).resolve() in inputs:
                raise SettingsError(f"{result} is one of the images and would be overwritten: give another --out")


def _predict_one(
    segmenter: Segmenter, path: Path, target: Path, suffixes: Sequence[str], options: PredictOptions
) -> int:
    nuclei = segmenter.predict(path, **options)
    for suffix in suffixes:
        nuclei.save(target.with_name(target.name + suffix))
    return len(nuclei)


def _chosen_formats(formats: str) -> list[str]:
    names = [name.strip() for name in formats.split(",") if name.strip()]
    unknown = sorted(set(names) - set(_FORMATS))
    if unknown or not names:
        raise SettingsError(f"format: expected some of {', '.join(_FORMATS)}, got {formats!r}")
    return [_FORMATS[name] for name in names]
