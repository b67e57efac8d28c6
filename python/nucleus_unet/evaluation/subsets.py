"""Subsets of images that are evaluated separately: reading lists of names, and finding the images."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from nucleus_unet.errors import DataError

_COLUMN = "image_id"


def read_names(path: Path) -> list[str]:
    r"""Read a list of image names.

    Parameters
    ----------
    path
        Path of a text file with one name per line (empty lines are ignored), or of a CSV table with a column
        ``image_id``.

    Returns
    -------
    list of str
        The names in the order of the file, without duplicates.

    Raises
    ------
    DataError
        The file is not a text file, or has no names.
    OSError
        The file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new.txt"
    >>> _ = path.write_text("cells_7\n\ncells_9\n")
    >>> read_names(path)
    ['cells_7', 'cells_9']
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        header = next(csv.reader(lines[:1]), [])
        named = [row[_COLUMN] or "" for row in csv.DictReader(lines)] if _COLUMN in header else lines
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a readable list of names: {error}") from error
    names = list(dict.fromkeys(stripped for name in named if (stripped := name.strip())))
    if not names:
        raise DataError(f"{path}: expected names of images, one per line or in a column {_COLUMN}, found none")
    return names


def find_members(names: Sequence[str], subsets: Mapping[str, Collection[str]]) -> dict[str, list[int]]:
    """Find the images of each subset.

    Parameters
    ----------
    names
        Names of all images. If several images have the same name, a subset with this name contains all of them.
    subsets
        Names of the images of each subset.

    Returns
    -------
    dict of str to list of int
        Indices of the images of each subset, ascending.

    Raises
    ------
    DataError
        A subset is empty or names an unknown image.
    """
    known = set(names)
    members = {}
    for subset, subset_names in ((subset, set(listed)) for subset, listed in subsets.items()):
        if not subset_names:
            raise DataError(f"subset {subset!r}: expected at least one name")
        if unknown := sorted(subset_names - known):
            raise DataError(
                f"subset {subset!r}: {len(unknown)} of {len(subset_names)} names are not those of an image, such as "
                f"{unknown[0]!r}; an image is named {min(known, default='')!r}"
            )
        members[subset] = [index for index, name in enumerate(names) if name in subset_names]
    return members
