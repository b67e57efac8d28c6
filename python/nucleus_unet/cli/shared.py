"""Shared by the commands: options, the console, reading of labelled sets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer
from rich.console import Console
from rich.progress import track

from nucleus_unet.errors import SettingsError

if TYPE_CHECKING:
    from nucleus_unet.data.dataset import Example, ReadReport

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
Data = Annotated[
    list[Path], typer.Option(help="Labelled set: folder or zip in a known layout. Can be given several times.")
]
Groups = Annotated[
    list[str] | None,
    typer.Option(
        help="SET=TABLE: CSV with the columns image_id, cluster (category) and mosaic (field or patient) for this set."
    ),
]
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        help="SET=REGEX: images of this set whose names have the same match of REGEX show one field or patient."
    ),
]
IgnoreClass = Annotated[
    list[str] | None,
    typer.Option(help="Class of drawn objects that do not count, with what lies in them. Default: Ignore."),
]
RegionClass = Annotated[
    list[str] | None,
    typer.Option(help="Class of drawn regions outside of which nothing counts. Default: Region, 'Only here'."),
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


def read_sets(
    data: Sequence[Path],
    groups: Sequence[str] | None,
    group_by: Sequence[str] | None,
    ignore_class: Sequence[str] | None = None,
    region_class: Sequence[str] | None = None,
    *,
    name_by_set: bool = False,
) -> list[Example]:
    """Read labelled sets, with fields; `name_by_set` names images after their set."""
    return read_reported_sets(data, groups, group_by, ignore_class, region_class, name_by_set=name_by_set)[0]


def read_reported_sets(
    data: Sequence[Path],
    groups: Sequence[str] | None,
    group_by: Sequence[str] | None,
    ignore_class: Sequence[str] | None = None,
    region_class: Sequence[str] | None = None,
    *,
    name_by_set: bool = False,
) -> tuple[list[Example], ReadReport]:
    """Read labelled sets as `read_sets` does, and tell what was not as it should be in any of them."""
    from nucleus_unet.data.dataset import read_examples
    from nucleus_unet.data.drawn import IGNORE_CLASSES, REGION_CLASSES

    stems = [path.stem for path in data]
    if len(set(stems)) < len(stems):
        raise SettingsError(f"data: expected sets of different names, got {', '.join(stems)}")
    tables, patterns = _by_set("groups", groups, data), _by_set("group-by", group_by, data)
    examples, reports = [], []
    for path in data:
        table = tables.get(path.stem)
        found, report = read_examples(
            path,
            groups=Path(table) if table else None,
            group_by=patterns.get(path.stem),
            ignore_classes=ignore_class or IGNORE_CLASSES,
            region_classes=region_class or REGION_CLASSES,
            progress=True,
        )
        console.log(f"{path}: {report.images} images, {report.nuclei} nuclei")
        # Field 1 of one set is not field 1 of another.
        found = [dataclasses.replace(each, field_id=f"{path.stem}/{each.field_id}") for each in found]
        if name_by_set:
            found = [dataclasses.replace(each, name=f"{path.stem}/{each.name}") for each in found]
            report = report.of_set(path.stem)
        examples += found
        reports.append(report)
    return examples, sum(reports[1:], reports[0])


def _by_set(option: str, arguments: Sequence[str] | None, data: Sequence[Path]) -> dict[str, str]:
    """Split SET=VALUE arguments; where there is only one set, VALUE alone will do."""
    stems = [path.stem for path in data]
    values = {}
    for argument in arguments or ():
        stem, separator, value = argument.partition("=")
        if separator and stem in stems:
            values[stem] = value
        elif len(stems) == 1:
            values[stems[0]] = argument
        else:
            raise SettingsError(f"{option}: expected SET=VALUE with a SET of {', '.join(stems)}, got {argument!r}")
    return values
