"""Many images after one command: which they are, where their results go, and what of them went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nucleus_unet.batch.own_results import OWN
from nucleus_unet.batch.summary import FileSummary
from nucleus_unet.cli.answers import SOME_FAILED
from nucleus_unet.cli.shared import console
from nucleus_unet.errors import NucleusError
from nucleus_unet.io.folders import BY_SYSTEM, HIDDEN, PassedOver

Verbose = Annotated[bool, typer.Option("--verbose", help="Name every file that is passed over.")]

# What is named of each reason without --verbose, and the reasons of which nobody wants names.
_NAMED = 3
_UNNAMED = (HIDDEN, BY_SYSTEM, OWN)


def answer_rows(
    rows: Sequence[FileSummary], passed_over: Sequence[PassedOver], files: Callable[[FileSummary], Mapping[str, Path]]
) -> dict[str, Any]:
    """Return what ``--json`` tells of the files of a run.

    Parameters
    ----------
    rows
        One for each image or slide.
    passed_over
        What is not segmented.
    files
        Returns the paths of the results of a row, by format.
    """
    return {
        "nuclei": sum(row.nuclei or 0 for row in rows),
        "failures": sum(bool(row.error) for row in rows),
        "images": [
            {
                "file": str(row.file),
                "nuclei": row.nuclei,
                "median_area": row.median_area,
                "scale": row.scale,
                "expected_msa": row.expected_msa,
                "seconds": row.seconds,
                "error": row.error or None,
                "files": {} if row.error else {chosen: str(path) for chosen, path in files(row).items()},
            }
            for row in rows
        ],
        "passed_over": [{"path": str(each.path), "reason": each.reason} for each in passed_over],
    }


def each_in_turn(pictures: Iterable[tuple[Path, Path]], find: Callable[[Path, Path], FileSummary]) -> list[FileSummary]:
    """Go through images, past those that are bad, which are told as they come.

    Parameters
    ----------
    pictures
        Each image, and the path of its results.
    find
        Gets both, and returns what it found.
    """
    rows = []
    for path, target in pictures:
        try:
            rows.append(find(path, target))
        except (NucleusError, OSError, MemoryError) as error:
            rows.append(FileSummary.failed(path, target, error))
            tell_failure(rows[-1].error)
    return rows


def tell_failure(text: str) -> None:
    """Say what is wrong with an image, where it is seen between bars of progress."""
    console.print(text, style="red", highlight=False, soft_wrap=True)


def end_with(failures: int, *, where: str) -> None:
    """Say how many images could not be segmented, and end with exit code 1; or do nothing if all could."""
    if failures:
        typer.echo(f"{failures} could not be segmented: {where}", err=True)
        raise typer.Exit(SOME_FAILED)


def tell_passed_over(passed_over: Sequence[PassedOver], *, names: bool) -> None:
    """Say what of the folders is not segmented: a line for each reason, with all names or with a few.

    Parameters
    ----------
    passed_over
        The files and folders.
    names
        Whether to name them all.
    """
    by_reason: dict[str, list[Path]] = {}
    for each in passed_over:
        by_reason.setdefault(each.reason, []).append(each.path)
    if by_reason:
        console.print("Passed over:", highlight=False)
    for reason, paths in by_reason.items():
        shown = paths if names else [] if reason in _UNNAMED else paths[:_NAMED]
        more = f", and {len(paths) - len(shown)} more" if shown and len(shown) < len(paths) else ""
        listed = f": {', '.join(str(path) if names else path.name for path in shown)}{more}" if shown else ""
        console.print(f"  {len(paths)} {reason}{listed}", highlight=False, soft_wrap=True)
