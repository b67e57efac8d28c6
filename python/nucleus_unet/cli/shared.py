"""Shared by the commands: options, the console, reading of labelled sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import track

if TYPE_CHECKING:
    pass

# Paths may hold what rich would take for markup.
console = Console(stderr=True, markup=False, log_path=False)

Model = Annotated[Path | None, typer.Option(help="Model bundle (folder or zip); by default the embedded one.")]
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
Augment = Annotated[bool, typer.Option("--augment", help="Test-time augmentation: better, and 8 times slower.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")]
T = TypeVar("T")


def show(items: Iterable[T], what: str) -> Iterable[T]:
    """Go through ``items`` with a progress bar, where there is a terminal to show it."""
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def bundle_path(name: Path | None) -> Path | None:
    """Return where a bundle is, as `load_bundle` takes it.

    None and ``embedded`` are the package's own, and so is ``dsb2018``, its name, unless something else has that name.
    """
    return None if name is None or str(name) == "embedded" or (str(name) == "dsb2018" and not name.exists()) else name
