"""``nucleus-unet evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.cli.sets import Data, SetOptions, read_sets, with_set_options
from nucleus_unet.cli.shared import Augment, Device, Model, Precision, show
from nucleus_unet.errors import SettingsError

if TYPE_CHECKING:
    from nucleus_unet.evaluation.metrics import Scores


@answering
@with_set_options
def evaluate(
    data: Data,
    sets: SetOptions,
    answer: Answer,
    model: Model = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: also report the images that FILE lists on their own (one name on each line, or CSV)."
        ),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    augment: Augment = False,
    out: Annotated[Path | None, typer.Option(help="Folder for a report: report.html, report.json, images.csv.")] = None,
) -> None:
    """Compare a model with the ground truth: metrics in both conventions, error analysis, the worst images.

    Metrics are given for all images, for each category and for each --subset. With several sets, images are named
    SET/NAME.
    """
    from nucleus_unet.evaluation.evaluate import evaluate as run
    from nucleus_unet.evaluation.report import check_report_folder, write_report
    from nucleus_unet.segmenter import Segmenter

    if out is not None:
        check_report_folder(out)
    subsets = _read_subsets(subset or ())
    segmenter = Segmenter.from_pretrained(model, device=device, precision=precision)
    examples = read_sets(data, sets, name_by_set=len(data) > 1)
    evaluation = run(segmenter, examples, subsets=subsets, augment=augment, track=lambda items: show(items, "images"))
    if evaluation.warning:
        typer.echo(evaluation.warning)
    _print_scores([*evaluation.categories.items(), *evaluation.subsets.items(), ("all", evaluation.overall)])
    page = None if out is None else write_report(evaluation, out)
    answer.set(report=None if page is None else str(page), warning=evaluation.warning or None, **evaluation.to_json())
    if page is not None:
        typer.echo(f"report: {page}")


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
