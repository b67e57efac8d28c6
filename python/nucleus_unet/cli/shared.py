"""Shared by the commands: options, the console, reading of labelled sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import track

# Paths may hold what rich would take for markup.
console = Console(stderr=True, markup=False, log_path=False)

Model = Annotated[Path | None, typer.Option(help="Model bundle (folder or zip), 'embedded' (default) or 'small'.")]
Device = Annotated[
    str,
    typer.Option(
        help="Where the network runs; by default on a GPU if torch sees one.", metavar="[auto|cpu|cuda|cuda:N|mps]"
    ),
]
Precision = Annotated[
    Literal["auto", "int8", "bfloat16", "float32"],
    typer.Option(help="Number format of the network; the default suits the model and the device."),
]
Augment = Annotated[bool, typer.Option("--augment", help="Test-time augmentation: finer outlines, 8 times slower.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
T = TypeVar("T")


def show(items: Iterable[T], what: str) -> Iterable[T]:
    """Go through ``items`` with a progress bar, where there is a terminal to show it."""
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)
