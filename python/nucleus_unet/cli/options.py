"""The options of prediction on the command line, made from `nucleus_unet.options`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from nucleus_unet.exports.names import FORMATS, STACK_FORMATS, Format, check_formats
from nucleus_unet.options import ImageOptions, parse_options

# Types of the values that people type, where they are not those of the library.
_TYPED: dict[str, Any] = {
    "channel": list[str] | None,
    **dict.fromkeys(("z", "time", "scene"), str | None),
    "min_area": float | None,
    "roi": Path | None,
    "measure": str | None,
    "expand": str | None,
    "neighbour_radius": str,
    "classifier": Path | None,
}


def with_options(
    kind: type[ImageOptions], *, without: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of ``kind`` to a command, which gets them as one argument, ``options``.

    Options that ``without`` names are not offered.
    """
    offered = [each for each in dataclasses.fields(kind) if each.metadata["help"] and each.name not in without]
    types = get_type_hints(kind)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**values: Any) -> None:
            typed = {each.name: values.pop(each.name) for each in offered}
            command(**values, options=parse_options(kind, typed))

        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != "options"]
        added = [_parameter(each, _TYPED.get(each.name, types[each.name])) for each in offered]
        wrapper.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in (*own, *added)}
        return wrapper

    return decorate


def _parameter(option: dataclasses.Field[Any], typed: Any) -> inspect.Parameter:
    flags = [] if option.metadata["flag"] is None else [option.metadata["flag"]]
    annotation = Annotated[typed, typer.Option(*flags, help=option.metadata["help"])]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=annotation)


Formats = Annotated[
    str,
    typer.Option("--format", help="Formats of the results, separated by commas.", metavar=f"[{'|'.join(FORMATS)}],..."),
]


FormatsOrDefault = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Formats of the results, separated by commas: by default tif,geojson; of several planes tif,csv.",
        metavar=f"[{'|'.join([*FORMATS, *(name for name in STACK_FORMATS if name not in FORMATS)])}],...",
    ),
]


def read_formats(text: str, known: Mapping[str, Format] = FORMATS) -> list[str]:
    """Return the names of formats that are separated by commas; they must be ``known``.

    Raises
    ------
    SettingsError
        If one is unknown, or there is none.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    check_formats(names, known)
    return names
