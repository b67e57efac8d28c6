"""The class of each nucleus of a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

CLASS = "class"
"""Name of the column of a table."""

_MOST_LETTERS = 200


class ClassKind(NamedTuple):
    """A class of nuclei.

    Attributes
    ----------
    name
        As the user gave it.
    colour
        Red, green and blue, 0 to 255.
    """

    name: str
    colour: Colour

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"name": self.name, "colour": list(self.colour)}

    @classmethod
    def from_json(cls, values: Any) -> ClassKind:
        """Inverse of `to_json`. Raise `ValueError` if a name or a colour is none."""
        name, colour = values["name"], values["colour"]
        if not is_class_name(name):
            raise ValueError(f"{name!r} is no name of a class")
        if not isinstance(colour, list) or len(colour) != 3 or any(type(c) is not int or c >> 8 for c in colour):
            raise ValueError(f"{colour!r} is no colour")
        return cls(name, (colour[0], colour[1], colour[2]))


@dataclass(frozen=True, eq=False)
class Classes:
    """The class of each nucleus.

    Attributes
    ----------
    kinds
        All classes.
    index : NDArray[np.int64] (N,)
        For each nucleus, the place of its class in ``kinds``.
    """

    kinds: tuple[ClassKind, ...]
    index: NDArray[np.int64]

    @property
    def names(self) -> NDArray[np.str_]:
        """Name of the class of each nucleus, (N,). The type depends on the classes alone."""
        return np.array([kind.name for kind in self.kinds])[self.index]

    def chosen(self, choose: Callable[[Any], Any]) -> Classes:
        """Return the classes of a choice of nuclei."""
        return Classes(self.kinds, choose(self.index))


def is_class_name(name: object) -> bool:
    """Whether this can be the name of a class: one line of text of at most 200 letters, without spaces around it."""
    if not isinstance(name, str):
        return False
    return 0 < len(name) <= _MOST_LETTERS and name == name.strip() and name.isprintable()


def kinds_to_text(kinds: Sequence[ClassKind]) -> str:
    """Return classes as JSON text."""
    return json.dumps([kind.to_json() for kind in kinds])


def kinds_from_text(text: str) -> tuple[ClassKind, ...]:
    """Inverse of `kinds_to_text`. Raise `ValueError` if it is damaged.

    Examples
    --------
    >>> kinds_from_text(kinds_to_text([ClassKind("Tumor", (200, 0, 0))]))
    (ClassKind(name='Tumor', colour=(200, 0, 0)),)
    """
    try:
        kinds = tuple(map(ClassKind.from_json, json.loads(text)))
    except (TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"its classes are damaged ({error})") from error
    if len({kind.name for kind in kinds}) < len(kinds) or not kinds:
        raise ValueError("its classes are damaged")
    return kinds
