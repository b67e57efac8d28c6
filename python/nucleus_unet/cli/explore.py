"""``nucleus-unet explore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.shared import GroupBy, Groups, IgnoreClass, RegionClass, read_reported_sets, show


def explore(
    data: Annotated[list[Path], typer.Argument(help="Labelled sets: folders or zips in a known layout.")],
    out: Annotated[Path, typer.Option(help="Path of the page, which ends in .html; an existing page is replaced.")],
    groups: Groups = None,
    group_by: GroupBy = None,
    ignore_class: IgnoreClass = None,
    region_class: RegionClass = None,
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
    examples, report = read_reported_sets(data, groups, group_by, ignore_class, region_class, name_by_set=len(data) > 1)
    exploration = run(examples, report=report, track=lambda items: show(items, "images"))
    names = ", ".join(path.stem for path in data)
    page = write_page(exploration, out, title=f"Labelled images: {names}")
    nuclei = sum(len(image.nuclei) for image in exploration.images)
    typer.echo(f"{len(examples)} images, {nuclei} nuclei, {len(set(exploration.categories))} categories: {page}")
