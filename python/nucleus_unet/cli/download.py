"""``nucleus-unet download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def download(
    out: Annotated[Path, typer.Argument(help="Folder for the archive.")],
    source: Annotated[
        Literal["bbbc038", "kaggle"],
        typer.Option(help="bbbc038 needs no account; kaggle needs the key of your account."),
    ] = "bbbc038",
) -> None:
    """Download the training set of the 2018 Data Science Bowl. The same command resumes an interrupted download."""
    from nucleus_unet.data.download import download as fetch

    typer.echo(str(fetch(out, source=source, progress=True)))
