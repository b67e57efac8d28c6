"""The CSV tables beside a training set: which images belong together, and masks as run-length encodings."""

import csv
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from nucleus_unet.data.sources import Entry
from nucleus_unet.errors import DataError, SettingsError

logger = logging.getLogger(__name__)


class Membership(NamedTuple):
    """The category and the field of an image. Images of one field stay in one fold."""

    category: str
    field_id: str


def read_encodings(table: Path, entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Read Kaggle's run-length encodings of each image.

    Raises
    ------
    DataError
        A column is missing, or no row names an image of the set.
    """
    encodings: dict[str, list[str]] = {}
    for row in _rows(table, ("ImageId", "EncodedPixels")):
        encodings.setdefault(row["ImageId"], []).append(row["EncodedPixels"])
    _refuse_strange(table, encodings.keys(), entries)
    return encodings


def membership_finder(
    source: str, entries: Sequence[Entry], groups: Path | None, group_by: str | None
) -> Callable[[str], Membership]:
    """Return the function from the name of an image to its category and field.

    Raises
    ------
    DataError
        A column is missing, no row names an image of the set, or ``group_by`` does not match every name.
    SettingsError
        ``group_by`` is not a regular expression.
    """
    table = {} if groups is None else _read_groups(Path(groups), source)
    if groups is not None:
        _refuse_strange(groups, table.keys(), entries)
        if unplaced := [entry.name for entry in entries if entry.name not in table]:
            logger.warning("%s does not name %d images, such as %s", groups, len(unplaced), unplaced[0])
    pattern = None if group_by is None else _compiled(group_by)

    def place(name: str) -> Membership:
        category, field_id = table.get(name, Membership(source, ""))
        return Membership(category, field_id or _field_by_name(name, pattern, source))

    for entry in entries:
        place(entry.name)
    return place


def _read_groups(table: Path, source: str) -> dict[str, Membership]:
    memberships = {}
    for row in _rows(table, ("image_id", "cluster", "mosaic")):
        colours = row.get("foreground"), row.get("background")
        category = row["cluster"] or (" on ".join(map(str, colours)) if all(colours) else source)
        memberships[row["image_id"]] = Membership(category, row["mosaic"])
    return memberships


def _field_by_name(name: str, pattern: re.Pattern[str] | None, source: str) -> str:
    if pattern is None:
        return name
    match = pattern.search(name)
    found = match and (match[1] if pattern.groups else match[0])
    if not found:
        raise DataError(
            f"group_by: expected a match in every name, but {pattern.pattern!r} matches nothing in {name!r}"
        )
    # Field 01 of one source is not field 01 of another.
    return f"{source}/{found}"


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise SettingsError(f"group_by: {expression!r} is not a regular expression: {error}") from error


def _rows(table: Path, columns: Sequence[str]) -> Iterable[dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, restval="")
        try:
            found = reader.fieldnames or []
            if not set(columns) <= set(found):
                expected = ", ".join(columns)
                raise DataError(f"{table}: expected the columns {expected}, found {', '.join(found) or 'none'}")
            yield from reader
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{table} is not a readable CSV table near line {reader.line_num}: {error}") from error


def _refuse_strange(table: Path, names: Iterable[str], entries: Sequence[Entry]) -> None:
    if {entry.name for entry in entries}.isdisjoint(names):
        raise DataError(f"{table} names none of the {len(entries)} images, such as {entries[0].name}: wrong table?")
