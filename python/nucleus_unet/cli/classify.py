"""``nucleus-unet classify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from nucleus_unet.cli.options import with_options
from nucleus_unet.cli.shared import Device, Model, Precision, show
from nucleus_unet.errors import SettingsError
from nucleus_unet.options import PredictOptions


@with_options(PredictOptions, without=("classifier", "batch_size"))
def classify(
    images: Annotated[
        list[Path], typer.Argument(help="Images, folders of finished slides, or tables (.csv, .parquet) with measures.")
    ],
    options: PredictOptions,
    marks: Annotated[
        list[Path] | None,
        typer.Option(
            help="Marked nuclei: GeoJSON of QuPath, a CSV, or an image of painted classes. One for each image, in the "
            "same order; or one CSV with the column image; or a folder with files of the images' names."
        ),
    ] = None,
    apply: Annotated[
        Path | None,
        typer.Option(
            help="Give the nuclei of finished results a class by this classifier (its file or folder). No training."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the classifier and its report, or for tables.")
    ] = None,
    kind: Annotated[Literal["forest", "logistic"], typer.Option(help="Random forest, or logistic regression.")] = (
        "forest"
    ),
    name: Annotated[
        list[str] | None, typer.Option(help="NUMBER=NAME: name of a number of painted classes, such as 1=Tumor.")
    ] = None,
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Train a classifier of nuclei from marked ones, or apply one to finished results.

    Training writes classifier.json, report.html and marked.csv to the output folder. Then `predict` and `slide` take
    --classifier. --measure is intensity,shape by default. --expand and --neighbour-radius are remembered, too.

    With --apply, tables get the columns class and class_probability_NAME. Those of a slide are replaced in its folder.
    """
    if apply is not None:
        if marks:
            raise SettingsError("give one of --marks, which trains a classifier, and --apply, which applies one")
        _apply(images, apply, out)
    elif not marks:
        raise SettingsError("give --marks to train a classifier, or --apply to apply one to finished results")
    elif out is None:
        raise SettingsError("out: expected a folder for the classifier and its report (--out)")
    else:
        _train(images, marks, out, options, kind, name or [], model, device, precision)


def _apply(results: Sequence[Path], classifier: Path, out: Path | None) -> None:
    from nucleus_unet.classification.apply import classify_results
    from nucleus_unet.classifier.file import load_classifier

    loaded = load_classifier(classifier)
    if len({path.name for path in results}) < len(results) and out is not None:
        raise SettingsError("out: two of the tables have one name: classify them one by one")
    for path in show(results, "results"):
        typer.echo(classify_results(path, loaded, out=out))


def _train(
    images: Sequence[Path],
    marks: Sequence[Path],
    out: Path,
    options: PredictOptions,
    kind: str,
    names: Sequence[str],
    model: Path | None,
    device: str,
    precision: Precision,
) -> None:
    from nucleus_unet.classification.fit import require_sklearn
    from nucleus_unet.classification.mark_readers import parse_names
    from nucleus_unet.classification.marked import is_result
    from nucleus_unet.classification.report import check_report_folder
    from nucleus_unet.classification.train import MEASURES, train_classifier
    from nucleus_unet.segmenter import Segmenter

    check_report_folder(out)
    require_sklearn("ensemble")
    named = parse_names(names)
    pairs = pair_marks(images, marks)
    segmenter = None
    if not all(map(is_result, images)):
        segmenter = Segmenter.from_pretrained(model, device=device, precision=precision)
        segmenter.check_options(options)
    keywords = {**options.keywords(), "measure": options.measure or MEASURES}
    trained = train_classifier(show(pairs, "images"), segmenter=segmenter, kind=kind, names=named, **keywords)
    path = trained.save(out)
    validation = trained.validation
    for place, each in enumerate(validation.kinds):
        marked = int(validation.confusion[place].sum())
        typer.echo(f"{each.name}: F1 {validation.f1[place]:.3f} of {marked} marked nuclei")
    typer.echo(validation.how)
    typer.echo(f"{path}, and {path.parent / 'report.html'}")


def pair_marks(images: Sequence[Path], marks: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return each image with its marks.

    Raises
    ------
    SettingsError
        If the numbers do not fit, or a folder has no marks, or several, for an image.
    """
    from nucleus_unet.classification.mark_readers import check_images, has_image_column

    if len(marks) == 1 and marks[0].is_dir():
        pairs = [(image, _marks_in(marks[0], image)) for image in images]
        for number, (image, file) in enumerate(pairs):
            for other, same in pairs[:number]:
                if file == same:
                    raise SettingsError(f"marks: {file} may be of {other} or of {image}: name it after one of them")
        return pairs
    if len(marks) == 1 and len(images) > 1 and has_image_column(marks[0]):
        check_images(marks[0], [str(image) for image in images])
        return [(image, marks[0]) for image in images]
    if len(marks) != len(images):
        raise SettingsError(
            f"marks: expected one file for each of {len(images)} images, one folder, or one CSV with the column image, "
            f"got {len(marks)}"
        )
    return list(zip(images, marks, strict=True))


def _marks_in(folder: Path, image: Path) -> Path:
    """Return the file whose name is that of an image, or the most of it before a dot: `a.csv` for `a.ome.tif`."""
    parts = image.name.split(".")
    found: list[Path] = []
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        found = found or sorted(path for path in folder.iterdir() if _name_of_marks(path) == name)
    if len(found) != 1:
        got = ", ".join(path.name for path in found) or "none"
        raise SettingsError(f"marks: expected one file for {image.name} in {folder}, got {got}")
    return found[0]


def _name_of_marks(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem
