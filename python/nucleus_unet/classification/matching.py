"""From marks to nuclei: which nuclei of a table are marked, and as what."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classification.marks import Mark, Marks, Rings
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.geojson import decode_outlines
from nucleus_unet.exports.nucleus_table import NucleusTable

logger = logging.getLogger(__name__)

# The outline of one nucleus is that of a nucleus of ours if neither has more than this many times the other's area.
_MOST_RATIO = 2.0
# Products of places and sides of polygons that are looked at together.
_TOGETHER = 2**22


class Matcher:
    """Finds the marked nuclei of an image whose table comes in parts.

    A place marks the nucleus that it lies in; the outline of one nucleus, the nucleus in whose middle it lies; another
    polygon, all nuclei whose centroids lie in it; a painted image, a nucleus by the number that most of its painted
    pixels have.

    Parameters
    ----------
    marks
        Of the image.
    shape
        Height and width of the image, if known.

    Raises
    ------
    DataError
        If a painted image has another size.
    """

    def __init__(self, marks: Marks, shape: tuple[int, int] | None = None) -> None:
        painted = marks.painted
        if painted is not None and shape is not None and painted.shape != shape:
            raise _other_size(marks, f"of {shape[0]} x {shape[1]} pixels")
        self._marks = marks
        self._hits: set[int] = set()

    def match(self, nuclei: NucleusTable) -> dict[int, str]:
        """Return the class of each marked nucleus of a part by its row, in the order of rows.

        Raises
        ------
        DataError
            If a nucleus is marked as two classes.
        """
        finder = _Finder(nuclei)
        pairs = [(number, mark, finder.rows_of(mark)) for number, mark in enumerate(self._marks.marks)]
        if self._marks.painted is not None:
            pairs += [(-1, mark, rows) for mark, rows in finder.painted(self._marks)]
        found: dict[int, tuple[str, str]] = {}
        for number, mark, rows in pairs:
            if len(rows):
                self._hits.add(number)
            for row in rows.tolist():
                name, told_by = found.setdefault(row, (mark.name, mark.told_by))
                if name != mark.name:
                    raise DataError(
                        f"{mark.told_by}: nucleus {nuclei.label[row]} is marked as {mark.name!r}, and as {name!r} by "
                        f"{told_by}: leave one of both"
                    )
        return {row: found[row][0] for row in sorted(found)}

    def finish(self) -> None:
        """Log how many marks lie in no nucleus, after the last part.

        Raises
        ------
        DataError
            If none lies in one.
        """
        marks = self._marks.marks
        if not self._hits:
            count = f"{len(marks)} marks" if marks else "the painted pixels"
            raise DataError(
                f"{self._marks.source}: none of {count} lies in a nucleus: are they of this image, and of its full "
                "resolution?"
            )
        missed = [mark for number, mark in enumerate(marks) if number not in self._hits]
        if missed:
            logger.warning(
                "%d of %d marks lie in no nucleus and are left out, first %s",
                len(missed),
                len(marks),
                missed[0].told_by,
            )


class _Finder:
    """Finds nuclei of a table by label, place and polygon."""

    def __init__(self, nuclei: NucleusTable) -> None:
        self._nuclei = nuclei
        # Centroids have pixel centres at integers.
        self._centroids = np.column_stack([nuclei.column, nuclei.row]) + 0.5

    def rows_of(self, mark: Mark) -> NDArray[np.intp]:
        """Return the rows of the nuclei that a mark is for."""
        if mark.label is not None:
            return np.flatnonzero(self._nuclei.label == mark.label)
        if mark.place is not None:
            return self._at(*mark.place)
        assert mark.rings is not None
        return self._outlined(mark.rings) if mark.single else self._within(mark.rings)

    def painted(self, marks: Marks) -> Iterator[tuple[Mark, NDArray[np.intp]]]:
        """Yield a mark for each nucleus that has painted pixels."""
        nuclei, values = self._nuclei, marks.painted
        assert values is not None
        if len(nuclei) and (nuclei.bottom.max() > values.shape[0] or nuclei.right.max() > values.shape[1]):
            raise _other_size(marks, "of the size of the segmented one")
        for row in range(len(nuclei)):
            top, left = int(nuclei.top[row]), int(nuclei.left[row])
            part = values[top : nuclei.bottom[row], left : nuclei.right[row]]
            rows, columns = np.nonzero(part)
            if not len(rows):
                continue
            centres = np.column_stack([columns + left, rows + top]).astype(np.float64) + 0.5
            inside = part[rows, columns][in_rings(centres, self._rings(row))]
            if len(inside):
                numbers, counts = np.unique(inside, return_counts=True)
                name = marks.names[int(numbers[counts.argmax()])]
                yield Mark(name, marks.source), np.array([row])

    def _at(self, x: float, y: float) -> NDArray[np.intp]:
        nuclei = self._nuclei
        boxed = (nuclei.left <= x) & (x < nuclei.right) & (nuclei.top <= y) & (y < nuclei.bottom)
        place = np.array([[x, y]])
        return np.array(
            [row for row in np.flatnonzero(boxed).tolist() if in_rings(place, self._rings(row))[0]], np.intp
        )

    def _within(self, rings: Rings) -> NDArray[np.intp]:
        corners = np.concatenate(rings)
        low, high = corners.min(axis=0), corners.max(axis=0)
        boxed = np.flatnonzero(((self._centroids >= low) & (self._centroids <= high)).all(axis=1))
        return boxed[in_rings(self._centroids[boxed], rings)]

    def _outlined(self, rings: Rings) -> NDArray[np.intp]:
        """Return the nucleus of which these rings are the outline; none if no nucleus has about this place and area."""
        area = _area(rings[0])
        rows = self._within(rings)
        if not len(rows):
            middle = rings[0][:-1].mean(axis=0)
            rows = self._at(float(middle[0]), float(middle[1]))
        areas = self._nuclei.area[rows]
        alike = rows[(areas <= _MOST_RATIO * area) & (areas * _MOST_RATIO >= area)]
        return alike[:1] if len(alike) == 1 else alike[:0]

    def _rings(self, row: int) -> Rings:
        outline = self._nuclei.outline[row]
        if not outline:
            raise SettingsError(
                "marks: this table has no outlines, so nuclei can be marked by label only: give the Parquet file, the "
                "folder of a slide or the image itself"
            )
        (polygons,) = decode_outlines([outline])
        return [ring.astype(np.float64) for rings in polygons for ring in rings]


def _other_size(marks: Marks, wanted: str) -> DataError:
    height, width = marks.painted.shape if marks.painted is not None else (0, 0)
    return DataError(f"{marks.source}: expected an image {wanted}, got {height} x {width} pixels")


def in_rings(places: NDArray[np.float64], rings: Rings) -> NDArray[np.bool_]:
    """Return which places (N, 2) lie within an odd number of rings.

    Examples
    --------
    >>> square = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], float)
    >>> in_rings(np.array([[1.0, 1.0], [5.0, 1.0]]), [square]).tolist()
    [True, False]
    """
    odd = np.zeros(len(places), bool)
    for ring in rings:
        step = max(1, _TOGETHER // max(1, len(ring)))
        for first in range(0, len(places), step):
            odd[first : first + step] ^= _crossings(places[first : first + step], ring)
    return odd


def _crossings(places: NDArray[np.float64], ring: NDArray[np.float64]) -> NDArray[np.bool_]:
    x, y = places[:, :1], places[:, 1:]
    (x1, y1), (x2, y2) = ring[:-1].T, ring[1:].T
    level = y1 == y2
    rise = np.where(level, 1.0, y2 - y1)
    crosses = ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / rise + x1)
    odd: NDArray[np.bool_] = crosses.sum(axis=1) % 2 == 1
    return odd


def _area(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return 0.5 * abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])))
