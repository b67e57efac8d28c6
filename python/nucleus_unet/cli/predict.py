"""``nucleus-unet predict``."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    console,
    read_channel,
    show,
)
from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.images import SUFFIXES

if TYPE_CHECKING:
    from nucleus_unet.segmenter import PredictOptions, Segmenter

_FORMATS = {"tif": ".tif", "csv": ".csv", "geojson": ".geojson", "png": ".png"}


def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: Model = None,
    device: Device = "auto",
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: tif (labels), csv (RLE), geojson, png (overlay).")
    ] = "tif,geojson",
    threshold: Threshold = None,
    min_area: MinArea = None,
    diameter: Diameter = None,
    mpp: Mpp = None,
    channel: Channel = None,
    augment: Augment = False,
    tile: TileSide = None,
    batch_size: Annotated[int, typer.Option(help="Tiles in one network call.")] = 1,
) -> None:
    """Find the nuclei of images, one after another, in constant memory.

    A file that cannot be read is reported and passed over; the command then ends with a list of those and exit code 1.
    """
    from nucleus_unet.segmenter import DEFAULT_TILE, Segmenter

    suffixes = _chosen_formats(formats)
    segmenter = Segmenter.from_pretrained(model, device=device)
    options: PredictOptions = {
        "threshold": threshold,
        "min_area": min_area,
        "diameter": diameter,
        "mpp": mpp,
        "channel": read_channel(channel),
        "augment": augment,
        "tile": DEFAULT_TILE if tile is None else tile,
        "batch_size": batch_size,
    }
    segmenter.check_options(**options)
    pictures = list(_with_targets(_expand(images), out))
    if not pictures:
        raise SettingsError(f"no image found in: {', '.join(images)} (known are {', '.join(SUFFIXES)})")
    _refuse_to_overwrite(pictures, suffixes)
    out.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    done = nuclei = 0
    for path, target in show(pictures, "images"):
        try:
            nuclei += _predict_one(segmenter, path, target, suffixes, options)
            done += 1
        except (NucleusError, OSError, MemoryError) as error:
            failures.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            console.print(failures[-1], style="red", highlight=False)
    typer.echo(f"{nuclei} nuclei in {done} images, written to {out}")
    if failures:
        typer.echo(f"{len(failures)} could not be segmented:", err=True)
        for failure in failures:
            typer.echo(f"  {failure}", err=True)
        raise typer.Exit(1)


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


def _expand(arguments: Iterable[str]) -> Iterator[tuple[Path, Path]]:
    """Yield each image with the name its results go under, relative to the output folder."""
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file())
            yield from ((file, file.relative_to(path)) for file in found)
        elif path.exists() or not glob.has_magic(argument):
            yield path, Path(path.name)
        else:
            # Path.glob has no absolute form.
            matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
            files = [match for match in matches if match.is_file()]
            if not files:
                raise SettingsError(f"no file matches {argument}")
            yield from ((file, Path(file.name)) for file in files)


def _with_targets(images: Iterable[tuple[Path, Path]], out: Path) -> Iterator[tuple[Path, Path]]:
    """Choose output names: the stem, unless another image has it already; then the whole name, then a number.

    A file that was named twice is one image.
    """
    taken: set[Path] = set()
    seen: set[Path] = set()
    for path, relative in images:
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        candidates = [relative.with_suffix(""), relative]
        number = 2
        while candidates[0] in taken:
            candidates.pop(0)
            if not candidates:
                candidates = [relative.with_name(f"{relative.name}-{number}")]
                number += 1
        taken.add(candidates[0])
        yield path, out / candidates[0]
