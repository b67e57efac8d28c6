"""``nucleus-unet download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.errors import SettingsError


def download(
    out: Annotated[Path, typer.Argument(help="Folder for the archive.")],
    source: Annotated[str, typer.Option(help="bbbc038 (no account) or kaggle (with your key).")] = "bbbc038",
) -> None:
    """Get the 2018 Data Science Bowl's training set; an interrupted download goes on."""
    from nucleus_unet.data.download import download as fetch

    if source not in ("bbbc038", "kaggle"):
        raise SettingsError(f"source: expected bbbc038 or kaggle, got {source!r}")
    typer.echo(str(fetch(out, source=source, progress=True)))  # type: ignore[arg-type]
