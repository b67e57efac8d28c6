"""The command line: ``nucleus-unet predict | train | evaluate | download``.

Each command checks its options, calls one function of the library, and says where the result is. Errors that people
can mend end in one line and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import track

from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.images import SUFFIXES

if TYPE_CHECKING:
    from nucleus_unet.evaluation.metrics import Scores
    from nucleus_unet.segmenter import PredictOptions, Segmenter
    from nucleus_unet.training.dataset import Example

app = typer.Typer(help="Find every nucleus in microscopy images.", no_args_is_help=True, add_completion=False)
# Paths may hold what rich would take for markup.
_console = Console(stderr=True, markup=False)

_Model = Annotated[Path | None, typer.Option(help="Model bundle (folder or zip); by default the embedded one.")]
_Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
_Data = Annotated[
    list[Path], typer.Option(help="Training set: folder or zip in a known layout. May be given several times.")
]
_Groups = Annotated[
    list[str] | None, typer.Option(help="SET=TABLE: CSV with image_id, cluster and mosaic for the set of that name.")
]
_GroupBy = Annotated[
    list[str] | None,
    typer.Option(help="SET=REGEX: images of that set whose names agree in what REGEX finds stay in one fold."),
]
_Augment = Annotated[bool, typer.Option("--augment", help="Average over turns and mirrors: better, 8 x slower.")]
T = TypeVar("T")
_FORMATS = {"tif": ".tif", "csv": ".csv", "geojson": ".geojson", "png": ".png"}


@app.command()
def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: _Model = None,
    device: _Device = "auto",
    formats: Annotated[
        str, typer.Option("--format", help="Comma-separated: tif (labels), csv (RLE), geojson, png (overlay).")
    ] = "tif,geojson",
    threshold: Annotated[float | None, typer.Option(help="Least foreground probability.")] = None,
    min_area: Annotated[int | None, typer.Option(help="Drop smaller nuclei (pixels).")] = None,
    diameter: Annotated[float | None, typer.Option(help="Typical nuclear diameter in pixels.")] = None,
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel.")] = None,
    channel: Annotated[str | None, typer.Option(help="Number or name of the channel to use.")] = None,
    augment: _Augment = False,
    tile: Annotated[int | None, typer.Option(help="Side of a tile in pixels.")] = None,
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
        "channel": int(channel) if channel is not None and channel.isdecimal() else channel,
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
    for path, target in _show(pictures, "images"):
        try:
            nuclei += _predict_one(segmenter, path, target, suffixes, options)
            done += 1
        except (NucleusError, OSError, MemoryError) as error:
            failures.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            _console.print(failures[-1], style="red", highlight=False)
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
            for match in sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207 - Path.glob has no absolute form
                if Path(match).is_file():
                    yield Path(match), Path(Path(match).name)


def _with_targets(images: Iterable[tuple[Path, Path]], out: Path) -> Iterator[tuple[Path, Path]]:
    """Choose output names: the stem, unless another image has it already; then the whole name, then a number."""
    taken: set[Path] = set()
    for path, relative in images:
        candidates = [relative.with_suffix(""), relative]
        number = 2
        while candidates[0] in taken:
            candidates.pop(0)
            if not candidates:
                candidates = [relative.with_name(f"{relative.name}-{number}")]
                number += 1
        taken.add(candidates[0])
        yield path, out / candidates[0]


@app.command()
def train(
    data: _Data,
    out: Annotated[Path, typer.Option(help="Folder for the model bundle; the run's own files go to OUT/training.")],
    groups: _Groups = None,
    group_by: _GroupBy = None,
    samples: Annotated[int, typer.Option(help="How many samples to train on.")] = 48_000,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Plateau of the learning rate.")] = 5e-3,
    form: Annotated[str, typer.Option(help="lite0 (pretrained encoder) or plain.")] = "lite0",
    width: Annotated[int, typer.Option(help="First level's channels, of the plain form.")] = 32,
    depth: Annotated[int, typer.Option(help="Levels, of the plain form.")] = 3,
    dropout: Annotated[float, typer.Option(help="Dropout at the bottom of the U.")] = 0.0,
    pretrained: Annotated[bool, typer.Option(help="Start from ImageNet weights (lite0).")] = True,
    folds: Annotated[int, typer.Option(help="One of so many folds is held out for validation.")] = 10,
    validate_every: Annotated[int, typer.Option(help="In samples.")] = 8_000,
    checkpoint_every: Annotated[int, typer.Option(help="In samples.")] = 1_600,
    seed: Annotated[int, typer.Option(help="Of initialisation, samples and folds.")] = 0,
    device: _Device = "auto",
    workers: Annotated[int, typer.Option(help="Processes that draw samples.", min=0)] = 1,
) -> None:
    """Train a model; the same command goes on with a run that was stopped."""
    from nucleus_unet.network import NetworkConfig
    from nucleus_unet.training.pipeline import train_bundle
    from nucleus_unet.training.trainer import TrainConfig

    config = TrainConfig(
        network=NetworkConfig(form=form, width=width, depth=depth, dropout=dropout),  # type: ignore[arg-type]
        pretrained=pretrained and form == "lite0",
        samples=samples,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validate_every=validate_every,
        checkpoint_every=checkpoint_every,
        seed=seed,
    )
    examples = _read_sets(data, groups, group_by)
    scores = train_bundle(config, examples, out, folds=folds, device=device, workers=workers, say=_console.log)
    typer.echo(json.dumps(scores, indent=2))
    typer.echo(f"model bundle: {out}")


@app.command()
def evaluate(
    data: _Data,
    model: _Model = None,
    groups: _Groups = None,
    group_by: _GroupBy = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: report the images that FILE lists (a name a line, or CSV) on their own too."),
    ] = None,
    device: _Device = "auto",
    augment: _Augment = False,
    out: Annotated[Path | None, typer.Option(help="Folder for a report: report.html, report.json, images.csv.")] = None,
) -> None:
    """Compare a model with the truth: figures in both conventions, what is lost and why, the worst images.

    Figures are of all images, of every kind, and of every --subset. Given several sets, images are named SET/NAME.
    """
    from nucleus_unet.evaluation.evaluate import evaluate as run
    from nucleus_unet.evaluation.report import check_report_folder, write_report
    from nucleus_unet.segmenter import Segmenter

    if out is not None:
        check_report_folder(out)
    subsets = _read_subsets(subset or ())
    segmenter = Segmenter.from_pretrained(model, device=device)
    examples = _read_sets(data, groups, group_by, name_by_set=len(data) > 1)
    evaluation = run(segmenter, examples, subsets=subsets, augment=augment, track=lambda items: _show(items, "images"))
    _print_scores([*evaluation.kinds.items(), *evaluation.subsets.items(), ("all", evaluation.overall)])
    if out is not None:
        typer.echo(f"report: {write_report(evaluation, out)}")


def _read_subsets(arguments: Sequence[str]) -> dict[str, list[str]]:
    from nucleus_unet.evaluation.subsets import read_names

    subsets: dict[str, list[str]] = {}
    for argument in arguments:
        name, _, path = argument.partition("=")
        if not name or not path or name in subsets:
            raise SettingsError(f"subset: expected NAME=FILE, each NAME once, got {argument!r}")
        subsets[name] = read_names(Path(path))
    return subsets


def _print_scores(groups: Sequence[tuple[str, Scores]]) -> None:
    columns = ("AP50", "AP75", "AP90", "mean", "| AP50", "mSA", "pixels", "images", "nuclei")
    typer.echo(f"{'':24}{'pooled':>8}{'':24}{'per image':>10}")
    typer.echo(f"{'':24}" + "".join(f"{name:>8}" for name in columns))
    for name, scores in groups:
        figures = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        figures += [scores.per_image[0.5], scores.per_image_mean, scores.pixel_accuracy]
        counts = (scores.images, scores.truths)
        typer.echo(f"{name[:23]:24}" + "".join(f"{x:8.3f}" for x in figures) + "".join(f"{x:8}" for x in counts))


@app.command()
def download(
    out: Annotated[Path, typer.Argument(help="Folder for the archive.")],
    source: Annotated[str, typer.Option(help="bbbc038 (no account) or kaggle (with your key).")] = "bbbc038",
) -> None:
    """Get the 2018 Data Science Bowl's training set; an interrupted download goes on."""
    from nucleus_unet.training.download import download as fetch

    if source not in ("bbbc038", "kaggle"):
        raise SettingsError(f"source: expected bbbc038 or kaggle, got {source!r}")
    typer.echo(str(fetch(out, source=source, progress=True)))  # type: ignore[arg-type]


def _read_sets(
    data: Sequence[Path], groups: Sequence[str] | None, group_by: Sequence[str] | None, *, name_by_set: bool = False
) -> list[Example]:
    from nucleus_unet.training.dataset import read_examples

    stems = [path.stem for path in data]
    if len(set(stems)) < len(stems):
        raise SettingsError(f"data: expected sets of different names, got {', '.join(stems)}")
    tables, patterns = _by_set("groups", groups, data), _by_set("group-by", group_by, data)
    examples = []
    for path in data:
        table = tables.get(path.stem)
        found, report = read_examples(
            path, groups=Path(table) if table else None, group_by=patterns.get(path.stem), progress=True
        )
        _console.log(f"{path}: {report.images} images, {report.nuclei} nuclei")
        # Field 1 of one set is not field 1 of another.
        found = [dataclasses.replace(each, mosaic=f"{path.stem}/{each.mosaic}") for each in found]
        if name_by_set:
            found = [dataclasses.replace(each, name=f"{path.stem}/{each.name}") for each in found]
        examples += found
    return examples


def _by_set(option: str, arguments: Sequence[str] | None, data: Sequence[Path]) -> dict[str, str]:
    """Split SET=VALUE arguments; where there is only one set, VALUE alone will do."""
    stems = [path.stem for path in data]
    values = {}
    for argument in arguments or ():
        stem, separator, value = argument.partition("=")
        if separator and stem in stems:
            values[stem] = value
        elif len(stems) == 1:
            values[stems[0]] = argument
        else:
            raise SettingsError(f"{option}: expected SET=VALUE with a SET of {', '.join(stems)}, got {argument!r}")
    return values


def _show(items: Iterable[T], what: str) -> Iterable[T]:
    return track(items, what, console=_console, transient=True, disable=not _console.is_terminal)


def main() -> None:
    """Run the command line."""
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=_console, show_path=False)]
    )
    try:
        app()
    except (NucleusError, OSError) as error:
        _console.print(f"error: {error}", style="red", highlight=False)
        sys.exit(2)
