"""The command line, one file a command.

Each command checks its options, calls one function of the library, and says where the result is. Errors that people
can correct end in one line and exit code 2; a traceback is a bug.
"""

from __future__ import annotations

import inspect
import logging
import sys
from io import TextIOWrapper
from typing import Annotated

import typer
from rich.logging import RichHandler

from nucleus_unet import __version__
from nucleus_unet.cli.calibrate import calibrate
from nucleus_unet.cli.classify import classify
from nucleus_unet.cli.compare import compare
from nucleus_unet.cli.download import download
from nucleus_unet.cli.evaluate import evaluate
from nucleus_unet.cli.explore import explore
from nucleus_unet.cli.export import export
from nucleus_unet.cli.export_model import export_model
from nucleus_unet.cli.info import info
from nucleus_unet.cli.predict import predict
from nucleus_unet.cli.score import score
from nucleus_unet.cli.shared import console
from nucleus_unet.cli.slide import slide
from nucleus_unet.cli.train import train
from nucleus_unet.cli.tune import tune
from nucleus_unet.errors import NucleusError

app = typer.Typer(no_args_is_help=True, add_completion=True)
for command in (
    predict,
    slide,
    info,
    export,
    export_model,
    explore,
    train,
    tune,
    calibrate,
    classify,
    score,
    evaluate,
    compare,
    download,
):
    # Line by line, as written, paragraphs but the first would be broken twice.
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(each.split()) for each in paragraphs))(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nucleus-unet {__version__}")
        raise typer.Exit


@app.callback()
def _any_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Find every nucleus in microscopy images."""


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may be in no encoding at all
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False, log_time_format="[%X]")],
    )
    try:
        app()
    except (NucleusError, OSError) as error:
        console.print(f"error: {error}", style="red", highlight=False)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "out of memory" not in str(error) and "allocate" not in str(error):
            raise  # torch has no error of its own for memory that is not a GPU's
        console.print(f"error: not enough memory for this ({error or 'the system gave no more'})", style="red")
        sys.exit(2)
