"""``nucleus-unet explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import GroupBy, Groups, read_reported_sets, show


def explore(
    data: Annotated[list[Path], typer.Argument(help="Labelled sets: folders or zips in a known layout.")],
    out: Annotated[Path, typer.Option(help="The page, ending in .html; replaced if it exists.")],
    groups: Groups = None,
    group_by: GroupBy = None,
) -> None:
    """Show what labelled sets hold, on a page that opens offline: kinds, sizes, shapes, and what looks wrong.

    Kinds are those of --groups, or the sets where there are several; else like images are found by clustering.
    """
    from nucleus_unet.exploration import explore as run
    from nucleus_unet.exploration import write_page
    from nucleus_unet.exploration.page import check_page_path
    from nucleus_unet.reports.plots import require_matplotlib

    check_page_path(out)
    require_matplotlib()
    examples, report = read_reported_sets(data, groups, group_by, name_by_set=len(data) > 1)
    exploration = run(examples, report=report, track=lambda items: show(items, "images"))
    names = ", ".join(path.stem for path in data)
    page = write_page(exploration, out, title=f"Labelled images: {names}")
    nuclei = sum(len(image.nuclei) for image in exploration.images)
    typer.echo(f"{len(examples)} images, {nuclei} nuclei, {len(set(exploration.categories))} categories: {page}")
