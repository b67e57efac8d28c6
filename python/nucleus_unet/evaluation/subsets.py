"""Images that are also reported on their own: lists of names, and whom they name."""

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
        Of a text file with one name a line (empty lines do not count), or of a CSV table with a column ``image_id``.

    Returns
    -------
    list of str
        In the order of the file, each once.

    Raises
    ------
    DataError
        The file is no text, or names nothing.
    OSError
        It cannot be opened.

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
        raise DataError(f"{path} is no readable list of names: {error}") from error
    names = list(dict.fromkeys(stripped for name in named if (stripped := name.strip())))
    if not names:
        raise DataError(f"{path}: expected names of images, one a line or in a column {_COLUMN}, found none")
    return names


def find_members(names: Sequence[str], subsets: Mapping[str, Collection[str]]) -> dict[str, list[int]]:
    """Find the images that subsets name.

    Parameters
    ----------
    names
        Of all images. A name that several images have is theirs together.
    subsets
        By subset, the names of its images.

    Returns
    -------
    dict of str to list of int
        By subset, the positions of its images, ascending.

    Raises
    ------
    DataError
        A subset names an image that is not there, or none at all.
    """
    known = set(names)
    members = {}
    for subset, wanted in subsets.items():
        if not wanted:
            raise DataError(f"subset {subset!r}: expected at least one name")
        if strange := sorted(set(wanted) - known):
            raise DataError(
                f"subset {subset!r}: {len(strange)} of {len(wanted)} names are of no image that was read, such as "
                f"{strange[0]!r}; names are like {min(known, default='')!r}"
            )
        chosen = set(wanted)
        members[subset] = [position for position, name in enumerate(names) if name in chosen]
    return members
