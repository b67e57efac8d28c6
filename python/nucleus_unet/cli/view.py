"""``nucleus-unet view``."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer


def view(
    folder: Annotated[Path, typer.Argument(help="Results of `nucleus-unet predict` or `nucleus-unet slide`.")],
    image: Annotated[
        Path | None,
        typer.Option(help="Where the image is now, if it was moved; of many images, the folder in which they are."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on this machine; 0 takes a free one.")] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-browser", help="Open the page in a browser, or only print its address.")
    ] = True,
) -> None:
    """Look at results in a browser: the image, the outlines, the table. Ctrl-C ends it.

    Only this machine can open the page. The address holds a token: who has it sees the results.
    """
    from nucleus_unet.viewer import open_in_browser
    from nucleus_unet.viewer import view as serve

    with serve(folder, image=image, port=port) as viewer:
        try:
            typer.echo(f"{viewer.url}\nCtrl-C ends it.")
            if open_browser:
                open_in_browser(viewer.url)
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("\nended")
