"""``nucleus-unet compare``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from nucleus_unet.cli.sets import Data, SetOptions, read_sets, with_set_options
from nucleus_unet.cli.shared import Device, show
from nucleus_unet.errors import SettingsError

if TYPE_CHECKING:
    from nucleus_unet.comparison import Comparison


@with_set_options
def compare(
    bundles: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLES", help="Model bundles; 'embedded' and 'small' are the package's."),
    ],
    data: Data,
    sets: SetOptions,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Random seed of the bootstrap.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for comparison.html and comparison.json.")] = None,
) -> None:
    """Compare models on images that none was trained on: metrics side by side, with tests of significance."""
    from nucleus_unet.comparison import compare as run
    from nucleus_unet.comparison.page import check_comparison_folder, write_comparison
    from nucleus_unet.segmenter import Segmenter

    if out is not None:
        check_comparison_folder(out)
    if len(bundles) < 2:
        raise SettingsError(f"expected at least two model bundles to compare, got {len(bundles)}")
    paths = dict(zip(_names(bundles), bundles, strict=True))
    segmenters = {name: Segmenter.from_pretrained(path, device=device) for name, path in paths.items()}
    examples = read_sets(data, sets, name_by_set=len(data) > 1)
    comparison = run(segmenters, examples, seed=seed, track=show)
    _print(comparison)
    if out is not None:
        typer.echo(f"page: {write_comparison(comparison, out)}")


def _names(bundles: Sequence[Path]) -> list[str]:
    """Name models by their last folder, or by all of the path where that repeats."""
    last = Counter(path.name for path in bundles)
    names = [path.name if last[path.name] == 1 else str(path) for path in bundles]
    if len(set(names)) < len(names):
        raise SettingsError(f"expected different bundles, got {', '.join(names)}")
    return names


def _print(comparison: Comparison) -> None:
    from nucleus_unet.comparison.metric_values import METRICS
    from nucleus_unet.comparison.page import describe_images, metric_cells, metric_titles

    typer.echo(describe_images(comparison))
    table = Table(box=None)
    table.add_column("model")
    for title in metric_titles(comparison):
        table.add_column(title, justify="right")
    for model in comparison.models:
        table.add_row(model.name, *metric_cells(model))
    Console(width=None if sys.stdout.isatty() else 160, markup=False).print(table)
    for each in comparison.differences:
        low, high = each.interval.low, each.interval.high
        typer.echo(
            f"{each.second} against {each.first}, {METRICS[each.metric].title}: {each.interval.difference:+.4f} "
            f"({low:+.4f} to {high:+.4f}): {each.verdict}"
        )
