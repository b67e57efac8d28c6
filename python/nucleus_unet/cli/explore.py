"""``nucleus-unet explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.sets import SetOptions, read_reported_sets, with_set_options
from nucleus_unet.cli.shared import show
from nucleus_unet.wording import counted


@with_set_options
def explore(
    data: Annotated[list[Path], typer.Argument(help="Labelled sets: folders or zips in a known layout.")],
    sets: SetOptions,
    out: Annotated[Path, typer.Option(help="Path of the page, which ends in .html; an existing page is replaced.")],
) -> None:
    """Write a page about labelled sets: categories, sizes and shapes of nuclei, and possible errors.

    The categories come from --groups, or are the sets where there are several. Otherwise images are clustered.
    """
    from nucleus_unet.exploration import explore as run
    from nucleus_unet.exploration import write_page
    from nucleus_unet.exploration.page import check_page_path
    from nucleus_unet.reports.page import require_page_packages

    check_page_path(out)
    require_page_packages()
    examples, report = read_reported_sets(data, sets, name_by_set=len(data) > 1)
    exploration = run(examples, report=report, track=lambda items: show(items, "images"))
    names = ", ".join(path.stem for path in data)
    page = write_page(exploration, out, title=f"Labelled images: {names}")
    nuclei = sum(len(image.nuclei) for image in exploration.images)
    categories = len(set(exploration.categories))
    told = counted(len(examples), "image"), counted(nuclei, "nucleus"), counted(categories, "category")
    typer.echo(f"{', '.join(told)}: {page}")
