"""A trained classifier of nuclei, and how it is applied to the columns of a table."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import Classes, ClassKind
from nucleus_unet.classifier.estimators import KINDS, Estimator, numbers
from nucleus_unet.errors import SettingsError
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.measures.channels import plain_name
from nucleus_unet.measures.lengths import parse_length
from nucleus_unet.measures.settings import GROUPS, NEIGHBOUR_RADIUS

logger = logging.getLogger(__name__)

FORMAT, VERSION = "nucleus-unet classifier", 1
PREFIX = "class_probability_"
"""Begin of the names of the columns of probabilities."""

_MOST_CLASSES, _MOST_COLUMNS = 256, 10_000
# Pixel sizes that differ by no more are taken for equal.
_SAME_SIZE = 0.1
_SHOWN_COLUMNS = 5
_PIXEL_LENGTHS = (
    *("area", "perimeter", "axis_major", "axis_minor", "feret_max", "feret_min", "equivalent_diameter"),
    "neighbour_distance",
)

Length = float | str
"""Pixels, or text with a unit, as the options have it."""


class MeasuredAs(NamedTuple):
    """How the nuclei were measured that the classifier was trained on.

    Attributes
    ----------
    groups
        Groups of measures.
    expand
        As the option; None without cells.
    neighbour_radius
        As the option.
    mpp
        Micrometres per pixel, if all images had one pixel size.
    """

    groups: tuple[str, ...]
    expand: Length | None
    neighbour_radius: Length
    mpp: float | None


class FoundBy(NamedTuple):
    """The model that found the nuclei.

    Attributes
    ----------
    model, fingerprint
        Name and SHA-256 of its bundle. Empty if a table did not tell it.
    """

    model: str
    fingerprint: str


class Classified(NamedTuple):
    """What a classifier says of the nuclei of a table.

    Attributes
    ----------
    classes
        The most probable class of each.
    probabilities
        Columns of the probability of each class, by name.
    """

    classes: Classes
    probabilities: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier of nuclei, from `nucleus_unet.classification.train_classifier` or a file.

    Attributes
    ----------
    kinds
        The classes, by name.
    columns
        The columns of a table that it looks at.
    fill : NDArray[np.float64] (M,)
        Value of each column for a nucleus that has none: the median of the marked nuclei.
    estimator
        The numbers of the model.
    measured
        How the nuclei were measured that it was trained on.
    found_by
        The model that found them.
    """

    kinds: tuple[ClassKind, ...]
    columns: tuple[str, ...]
    fill: NDArray[np.float64]
    estimator: Estimator
    measured: MeasuredAs
    found_by: FoundBy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Classifier) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        names = ", ".join(kind.name for kind in self.kinds)
        return f"Classifier({self.estimator.kind} of {len(self.columns)} measures; classes: {names})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its content, hexadecimal."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def probability_columns(self) -> tuple[str, ...]:
        """Names of the columns of the probability of each class."""
        names: list[str] = []
        for number, kind in enumerate(self.kinds):
            name = PREFIX + plain_name(kind.name)
            while name in names:
                name = f"{name}_{number}"
            names.append(name)
        return tuple(names)

    def check_columns(self, names: Collection[str]) -> None:
        """Raise `SettingsError` if a table with columns of these names cannot be classified."""
        missing = [name for name in self.columns if name not in names]
        if not missing:
            return
        shown = ", ".join(missing[:_SHOWN_COLUMNS]) + (", ..." if len(missing) > _SHOWN_COLUMNS else "")
        size = " and a known pixel size (mpp=, --mpp)" if any("_um" in name for name in missing) else ""
        expand = "" if self.measured.expand is None else f" and expand={self.measured.expand!r}"
        raise SettingsError(
            f"classifier: the table lacks {len(missing)} of its {len(self.columns)} columns ({shown}): it needs an "
            f"image with the same channels{size}, measured with measure={','.join(self.measured.groups)!r}{expand}"
        )

    def tell_differences(self, mpp: float | None, fingerprint: str | None) -> None:
        """Log a warning, once, if nuclei were found by another model, or pixels have another size, than in training.

        Parameters
        ----------
        mpp
            Micrometres per pixel of the image, if known.
        fingerprint
            Of the model that found its nuclei, if known.
        """
        trained = self.measured.mpp
        in_pixels = any(name.endswith(_PIXEL_LENGTHS) for name in self.columns)
        if in_pixels and trained is not None and mpp is not None and abs(mpp / trained - 1) > _SAME_SIZE:
            _warn_once(
                f"classifier: it was trained on pixels of {trained:g} micrometres and looks at sizes in pixels, and "
                f"the image has pixels of {mpp:g}: classes may be wrong"
            )
        if self.found_by.fingerprint and fingerprint and self.found_by.fingerprint != fingerprint:
            _warn_once(
                f"classifier: it was trained on nuclei that another model found ({self.found_by.model!r}, "
                f"{self.found_by.fingerprint[:8]}): classes may be wrong"
            )

    def options(self, measure: Collection[str] | None, expand: Length | None, radius: Length) -> dict[str, Any]:
        """Return the options ``measure``, ``expand`` and ``neighbour_radius`` that it needs, with what is asked for.

        Raises
        ------
        SettingsError
            If it was trained on other cells or neighbours than are asked for.
        """
        needed = self.measured
        if expand is not None and not _same_length(expand, needed.expand):
            was = "without cells" if needed.expand is None else f"with {needed.expand!r}"
            raise SettingsError(
                f"expand: the classifier was trained {was}, got {expand!r}: leave expand out, or train another one"
            )
        if "neighbours" in needed.groups and radius != NEIGHBOUR_RADIUS:
            if not _same_length(radius, needed.neighbour_radius):
                raise SettingsError(
                    f"neighbour_radius: the classifier was trained with {needed.neighbour_radius!r}, got {radius!r}: "
                    "leave neighbour_radius out, or train another one"
                )
        elif "neighbours" in needed.groups:
            radius = needed.neighbour_radius
        groups = tuple(group for group in GROUPS if group in {*(measure or ()), *needed.groups})
        return {"measure": groups, "expand": needed.expand, "neighbour_radius": radius}

    def check_lengths(self, expand: float | None, radius: float, mpp: float | None, name: str) -> None:
        """Raise `SettingsError` if nuclei were measured with other cells or neighbours than in training.

        Parameters
        ----------
        expand, radius
            Of the nuclei, in pixels.
        mpp
            Micrometres per pixel, if known.
        name
            Of the result, for the message.
        """
        needed = self.measured
        pairs = [("expand", needed.expand, expand)]
        if "neighbours" in needed.groups:
            pairs.append(("neighbour_radius", needed.neighbour_radius, radius))
        for option, trained, got in pairs:
            wanted = None if trained is None else parse_length(option, trained).pixels(option, mpp)
            if wanted != got and (wanted is None or got is None or not math.isclose(wanted, got, rel_tol=1e-6)):
                raise SettingsError(
                    f"{name}: it was measured with {option}={got!r} pixels, and the classifier was trained with "
                    f"{trained!r}: repeat the run with the same {option}, or train another classifier"
                )

    def classify(self, table: Mapping[str, NDArray[Any]]) -> Classified:
        """Classify the nuclei of a table.

        Parameters
        ----------
        table
            Columns by name, such as `nucleus_unet.Segmentation.table`. What is not finite is filled with the median of
            the marked nuclei.

        Raises
        ------
        SettingsError
            If the table lacks a column.
        """
        self.check_columns(table.keys())
        values = np.stack([np.asarray(table[name], np.float64) for name in self.columns], axis=1)
        values = np.where(np.isfinite(values), values, self.fill)
        found = self.estimator.probabilities(values)
        index = found.argmax(axis=1).astype(np.int64)
        columns = {name: found[:, place].copy() for place, name in enumerate(self.probability_columns)}
        return Classified(Classes(self.kinds, index), columns)

    def save(self, path: Path | str) -> Path:
        """Write it as JSON, and return the path. `nucleus_unet.classifier.load_classifier` reads it."""
        text = json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        write_atomically(Path(path), text + "\n")
        return Path(path)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, **self._content()}

    def _content(self) -> dict[str, Any]:
        return {
            "classes": [kind.to_json() for kind in self.kinds],
            "columns": list(self.columns),
            "fill": self.fill.tolist(),
            "measured": {**self.measured._asdict(), "groups": list(self.measured.groups)},
            "found_by": self.found_by._asdict(),
            "estimator": self.estimator.to_json(),
        }

    @classmethod
    def from_json(cls, content: Any) -> Classifier:
        """Inverse of `to_json`.

        Raises
        ------
        ValueError, TypeError, LookupError, OverflowError
            If it is damaged, forged or of another version.
        """
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("it is no classifier of nuclei")
        if content["version"] != VERSION:
            raise ValueError(f"its version is {content['version']!r}, and this nucleus-unet reads {VERSION}: update it")
        kinds = tuple(map(ClassKind.from_json, content["classes"]))
        columns = content["columns"]
        if not 2 <= len(kinds) <= _MOST_CLASSES or len({kind.name for kind in kinds}) < len(kinds):
            raise ValueError(f"classes: expected 2 to {_MOST_CLASSES} of different names")
        if not isinstance(columns, list) or not 0 < len(set(columns)) == len(columns) <= _MOST_COLUMNS:
            raise ValueError(f"columns: expected 1 to {_MOST_COLUMNS} different names")
        if not all(isinstance(name, str) for name in columns):
            raise ValueError("columns: expected names")
        estimator = KINDS[content["estimator"]["kind"]]
        classifier = cls(
            kinds,
            tuple(columns),
            numbers(content["fill"], "fill", (len(columns),)),
            estimator.from_json(content["estimator"], classes=len(kinds), columns=len(columns)),
            _measured_from_json(content["measured"]),
            FoundBy(str(content["found_by"]["model"]), str(content["found_by"]["fingerprint"])),
        )
        if classifier.fingerprint != content["fingerprint"]:
            raise ValueError("its numbers are not those of its fingerprint")
        return classifier


def _measured_from_json(values: Mapping[str, Any]) -> MeasuredAs:
    groups, mpp = values["groups"], values["mpp"]
    if not isinstance(groups, list) or not groups or any(group not in GROUPS for group in groups):
        raise ValueError(f"groups: expected some of {', '.join(GROUPS)}")
    if mpp is not None and (type(mpp) not in (int, float) or not 0 < mpp < math.inf):
        raise ValueError("mpp: expected a positive number")
    for name in ("expand", "neighbour_radius"):
        if values[name] is not None or name == "neighbour_radius":
            parse_length(name, values[name])
    return MeasuredAs(tuple(groups), values["expand"], values["neighbour_radius"], mpp)


def _same_length(one: Length, other: Length | None) -> bool:
    return other is not None and parse_length("length", one) == parse_length("length", other)


@cache
def _warn_once(text: str) -> None:
    logger.warning("%s", text)
