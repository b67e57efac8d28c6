"""``nucleus-unet score``."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.errors import SettingsError
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nucleus_unet.measures.stains import StainScore

logger = logging.getLogger(__name__)

_COLUMN, _THRESHOLDS = "nucleus_dab_mean", "0.2,0.4,0.6"


@answering
def score(
    results: Annotated[
        list[Path], typer.Argument(help="Tables (.csv, .parquet) with measures, or folders of finished slides.")
    ],
    answer: Answer,
    column: Annotated[str, typer.Option(help="Column of the density of a stain.")] = _COLUMN,
    thresholds: Annotated[
        str, typer.Option(help="Least density of weak, moderate and strong nuclei, for the H-score.")
    ] = _THRESHOLDS,
    positive: Annotated[
        float | None, typer.Option(help="Least density of a positive nucleus; by default that of a weak one.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--class", help="Count nuclei of this class only. Can be given several times.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV file for the scores.")] = None,
) -> None:
    """Score immunohistochemistry: H-score and share of positive nuclei, for each finished result and for all.

    The tables are those of `predict` and `slide` with --measure stain. With --class, they have classes, too.
    """
    from nucleus_unet.io.atomic import write_atomically
    from nucleus_unet.measures.stains import stain_score
    from nucleus_unet.reports.csv_table import csv_text

    limits = _read_thresholds(thresholds)
    if positive is not None and not math.isfinite(positive):
        raise SettingsError(f"positive: expected a finite number, got {positive}")
    densities = [_densities(path, column, only or []) for path in results]
    scores = [stain_score(each, thresholds=limits, positive=positive) for each in densities]
    named: list[tuple[str, StainScore]] = list(zip(map(str, results), scores, strict=True))
    if len(results) > 1:
        named.append(("all", stain_score(np.concatenate(densities), thresholds=limits, positive=positive)))
    rows = [{"result": name, **each._asdict()} for name, each in named]
    if out is not None:
        write_atomically(out, csv_text(rows))
    answer.set(column=column, results=rows, table=None if out is None else str(out))
    for name, each in named:
        told = "no nuclei"
        if each.nuclei:
            told = f"{counted(each.nuclei, 'nucleus')}, {each.positive_share:.1%} positive, H-score {each.h_score:.1f}"
        typer.echo(f"{name}: {told}")


def _read_thresholds(text: str) -> list[float]:
    try:
        limits = [float(each) for each in text.split(",")]
    except ValueError:
        limits = []
    if len(limits) != 3 or sorted(set(limits)) != limits or not all(map(math.isfinite, limits)):
        raise SettingsError(f"thresholds: expected three ascending numbers such as {_THRESHOLDS}, got {text!r}")
    return limits


def _densities(path: Path, column: str, only: Sequence[str]) -> NDArray[np.float64]:
    from nucleus_unet.classifier.classes import CLASS
    from nucleus_unet.exports.read_columns import read_columns
    from nucleus_unet.slides.writers.results import TABLE

    table = read_columns(path / TABLE if (path / TABLE).exists() else path, [column, *([CLASS] if only else [])])
    if table[column].dtype.kind not in "iuf":
        raise SettingsError(f"column: expected a column of numbers, got {column!r}")
    values = table[column].astype(np.float64)
    if without := int(np.count_nonzero(~np.isfinite(values))):
        logger.warning("%s: %d of %d nuclei have no number in %s and are left out", path, without, len(values), column)
    if not only:
        return values
    classes = table[CLASS]
    if len(classes) and not np.isin(only, classes).any():
        raise SettingsError(f"class: {path} has no nucleus of the class {' or '.join(map(repr, only))}")
    chosen: NDArray[np.float64] = values[np.isin(classes, only)]
    return chosen
