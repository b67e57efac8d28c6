"""``nucleus-unet predict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nucleus_unet.cli.inputs import each_in_turn, end_with, expand, with_targets
from nucleus_unet.cli.options import Formats, read_formats, with_options
from nucleus_unet.cli.shared import Device, Model, Out, Precision, bundle_path, show
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.names import CELL_FORMATS, FORMATS
from nucleus_unet.io.formats import SEARCHED_SUFFIXES
from nucleus_unet.options import PredictOptions

if TYPE_CHECKING:
    from nucleus_unet.segmenter import Segmenter


@with_options(PredictOptions)
def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Out,
    options: PredictOptions,
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
    formats: Formats = "tif,geojson",
) -> None:
    """Find the nuclei of images, one after another, in constant memory.

    A file that cannot be read is reported and skipped. The command then ends with a list of these files and
    exit code 1.
    """
    from nucleus_unet.segmenter import Segmenter

    suffixes = {name: FORMATS[name].suffixes[0] for name in read_formats(formats)}
    if set(suffixes) & set(CELL_FORMATS) and options.expand is None:
        raise SettingsError(f"format: {' and '.join(CELL_FORMATS)} need cells: give --expand, such as --expand 8")
    segmenter = Segmenter.from_pretrained(bundle_path(model), device=device, precision=precision)
    segmenter.check_options(options)
    pictures = list(with_targets(expand(images), out, suffixes=list(suffixes.values())))
    if not pictures:
        raise SettingsError(f"no image found in: {', '.join(images)} (known are {', '.join(SEARCHED_SUFFIXES)})")
    _refuse_to_overwrite(pictures, list(suffixes.values()))
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
    segmenter: Segmenter, path: Path, target: Path, suffixes: Mapping[str, str], options: PredictOptions
) -> int:
    nuclei = segmenter.predict(path, **options.keywords())
    for name, suffix in suffixes.items():
        nuclei.save(target.with_name(target.name + suffix), file_format=name)
    return len(nuclei)
