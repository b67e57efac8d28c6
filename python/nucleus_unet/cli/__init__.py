"""The command line, one file a command.

Each command checks its options, calls one function of the library, and says where the result is. Errors that people
can correct end in one line and exit code 2; a traceback is a bug, with exit code 70. `answers.py` has all exit codes.
"""

from __future__ import annotations

import inspect
import logging
import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer
from rich.logging import RichHandler

from nucleus_unet import __version__
from nucleus_unet.cli.answers import document, exit_code_of, tell_error
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
from nucleus_unet.cli.view import view
from nucleus_unet.errors import SettingsError

app = typer.Typer(no_args_is_help=True, add_completion=True)
for command in (
    predict,
    slide,
    info,
    view,
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
    """Find the nuclei in microscopy images."""


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may be in no encoding at all
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters to users is said in our words
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False, log_time_format="[%X]")],
    )
    try:
        _run()
    except (KeyboardInterrupt, Exception) as error:
        sys.exit(tell_error(error))


def _interrupt(_number: int, _frame: object) -> None:
    """End the command in order at the first Ctrl-C, and the process at once at the second.

    Python cannot end in order twice: threads would run on while it shuts down. Results are written atomically.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _run() -> None:
    """Run the command. With ``--json``, what is wrong with its options is told in a document too."""
    if "--json" not in sys.argv[1:]:
        _check_arguments()
        app()
        return
    try:
        _check_arguments()
        code = app(standalone_mode=False)
    except Exception as error:  # before the command itself began, which tells its own errors
        command = next((each for each in sys.argv[1:] if not each.startswith("-")), "")
        print(document(command, exit_code_of(error), error, {}), flush=True)  # noqa: T201
        raise
    sys.exit(code or 0)


def _check_arguments() -> None:
    """Raise `SettingsError` for an empty argument, which typer would take for the current folder."""
    if "" in sys.argv[1:]:
        raise SettingsError("expected a value for every option and argument, got an empty one: is a variable not set?")
