"""Labelled sets on the command line: the options for reading them, which all commands that take sets share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from nucleus_unet.cli.shared import console
from nucleus_unet.errors import SettingsError
from nucleus_unet.io.projections import PROJECTIONS
from nucleus_unet.io.selection import Combine, Selection, check_channels, check_places
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from nucleus_unet.data.dataset import Example, ReadReport

Data = Annotated[
    list[Path], typer.Option(help="Labelled set: folder or zip in a known layout. Can be given several times.")
]


@dataclass(frozen=True)
class SetOptions:
    """How labelled sets are read: the options of `nucleus_unet.data.dataset.read_examples`."""

    groups: Annotated[
        list[str] | None,
        typer.Option(
            help="SET=TABLE: CSV with the columns image_id, cluster (category) and mosaic (field or patient) for this "
            "set."
        ),
    ] = None
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            help="SET=REGEX: images of this set whose names have the same match of REGEX show one field or patient."
        ),
    ] = None
    ignore_class: Annotated[
        list[str] | None,
        typer.Option(help="Class of drawn objects that do not count, with what lies in them. Default: Ignore."),
    ] = None
    region_class: Annotated[
        list[str] | None,
        typer.Option(help="Class of drawn regions outside of which nothing counts. Default: Region, 'Only here'."),
    ] = None
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Number or name of the channel that is labelled. Given several times, they become one."),
    ] = None
    combine: Annotated[Combine, typer.Option(help="How several channels become one.")] = "sum"
    z: Annotated[str | None, typer.Option(help="Labelled plane of stacks: max, mean, focus, or a number.")] = None
    time: Annotated[str | None, typer.Option(help="Labelled time of series: a number.")] = None
    scene: Annotated[str | None, typer.Option(help="Labelled scene: a number or a name.")] = None

    @property
    def selection(self) -> Selection:
        """Which plane of each image is labelled."""
        return Selection(
            scene=_checked(check_places(names=True), "scene", self.scene),
            time=_checked(check_places(), "time", self.time),
            z=_checked(check_places(*PROJECTIONS), "z", self.z),
            channel=_checked(check_channels, "channel", self.channel),
            combine=self.combine,
        )


def _checked(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    return None if value is None else check(name, value)


def with_set_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `SetOptions` to a command, which gets them as one argument, ``sets``."""
    fields = dataclasses.fields(SetOptions)
    types = get_type_hints(SetOptions, include_extras=True)

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        sets = SetOptions(**{each.name: values.pop(each.name) for each in fields})
        command(**values, sets=sets)

    signature = inspect.signature(command, eval_str=True)
    own = [each for each in signature.parameters.values() if each.name != "sets"]
    added = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name])
        for each in fields
    ]
    wrapper.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
    return wrapper


def read_sets(data: Sequence[Path], options: SetOptions, *, name_by_set: bool = False) -> list[Example]:
    """Read labelled sets, with fields; `name_by_set` names images after their set."""
    return read_reported_sets(data, options, name_by_set=name_by_set)[0]


def read_reported_sets(
    data: Sequence[Path], options: SetOptions, *, name_by_set: bool = False
) -> tuple[list[Example], ReadReport]:
    """Read labelled sets as `read_sets` does, and report what was not as it should be in any of them."""
    from nucleus_unet.data.dataset import read_examples
    from nucleus_unet.data.drawn import IGNORE_CLASSES, REGION_CLASSES

    stems = [path.stem for path in data]
    if len(set(stems)) < len(stems):
        raise SettingsError(f"data: expected sets of different names, got {', '.join(stems)}")
    tables, patterns = _by_set("groups", options.groups, data), _by_set("group-by", options.group_by, data)
    examples, reports = [], []
    for path in data:
        table = tables.get(path.stem)
        found, report = read_examples(
            path,
            groups=Path(table) if table else None,
            group_by=patterns.get(path.stem),
            ignore_classes=options.ignore_class or IGNORE_CLASSES,
            region_classes=options.region_class or REGION_CLASSES,
            selection=options.selection,
            progress=True,
        )
        console.log(f"{path}: {counted(report.images, 'image')}, {counted(report.nuclei, 'nucleus')}")
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
