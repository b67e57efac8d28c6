"""The levels of a slide, exact, from looks at all its regions: one at whole numbers, a few at floating-point ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.preprocessing.normalisation import (
    PERCENTILES,
    IntensityRange,
    check_range,
    count_values,
    non_empty_range,
    percentile_range_of_counts,
)

_DIGIT_BITS = 16
_DIGITS = 2**_DIGIT_BITS
# Numbers that are looked at together: finding their digits takes some times their memory.
_TOGETHER = 2**20


class StreamingPercentiles(Protocol):
    """What gathers levels from one look at every region, or several.

    Attributes
    ----------
    looks
        How many.
    """

    looks: int

    def look(self, pixels: NDArray[Any]) -> Any:
        """Return what a region tells; may run in several threads."""
        ...

    def add(self, told: Any) -> None:
        """Take what a region told."""
        ...

    def end_look(self) -> None:
        """Take note that every region was looked at once more."""
        ...

    def levels(self) -> IntensityRange | None:
        """Return what `nucleus_unet.preprocessing.normalisation.percentile_range` would of the whole."""
        ...


def streaming_percentiles_for(dtype: np.dtype[Any], size: int) -> StreamingPercentiles:
    """Return an empty tally for ``size`` numbers of a type."""
    return _RankPercentiles(dtype, size) if dtype.kind == "f" else _HistogramPercentiles(dtype)


class _HistogramPercentiles:
    """Counts of all values that whole numbers of up to 16 bits can have."""

    looks = 1

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._counts = np.zeros(2 ** (8 * dtype.itemsize), np.int64)

    def look(self, pixels: NDArray[Any]) -> NDArray[np.int64]:
        """See `StreamingPercentiles`."""
        return count_values(pixels)

    def add(self, told: NDArray[np.int64]) -> None:
        """See `StreamingPercentiles`."""
        self._counts += told

    def end_look(self) -> None:
        """See `StreamingPercentiles`."""

    def levels(self) -> IntensityRange | None:
        """See `StreamingPercentiles`."""
        return percentile_range_of_counts(self._counts)


class _RankPercentiles:
    """The floating-point numbers between which the percentiles lie, found from their first 16 bits to their last.

    Numbers are looked at as keys: whole numbers in the same order. Each look counts, among the keys that begin like one
    that is sought, the next 16 bits.
    """

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self._dtype = dtype
        self.looks = 8 * dtype.itemsize // _DIGIT_BITS
        self._places = [share / 100 * (size - 1) for share in PERCENTILES]  # as numpy has them, to the last bit
        ranks = [rank for place in self._places for rank in (int(place), min(int(place) + 1, size - 1))]
        # The least and the most number too; of each what its key begins with, and its rank among those that do so.
        self._sought = [(0, rank) for rank in (0, *ranks, size - 1)]
        self._looked, self._unusable = 0, 0
        self._counts = self._no_counts()

    def look(self, pixels: NDArray[Any]) -> tuple[dict[int, NDArray[np.int64]], int]:
        """See `StreamingPercentiles`."""
        counts, unusable = self._no_counts(), 0
        for numbers in _pieces(pixels):
            if self._looked == 0:
                finite = np.isfinite(numbers)
                unusable += int(np.count_nonzero(~(finite if finite.ndim == 2 else finite.all(axis=-1))))
            keys = _keys(numbers)
            digits = (keys >> np.uint64((self.looks - 1 - self._looked) * _DIGIT_BITS)) & np.uint64(_DIGITS - 1)
            for beginning, found in counts.items():
                among = digits
                if self._looked:
                    among = digits[keys >> np.uint64((self.looks - self._looked) * _DIGIT_BITS) == beginning]
                found += np.bincount(among.astype(np.intp), minlength=_DIGITS)
        return counts, unusable

    def add(self, told: tuple[dict[int, NDArray[np.int64]], int]) -> None:
        """See `StreamingPercentiles`."""
        counts, unusable = told
        self._unusable += unusable
        for beginning, found in counts.items():
            self._counts[beginning] += found

    def end_look(self) -> None:
        """See `StreamingPercentiles`."""
        if self._unusable:
            raise ImageError(
                f"image values: expected finite numbers, got {self._unusable} pixels that are NaN or infinite; "
                "replace them first"
            )
        sought = []
        for beginning, rank in self._sought:
            up_to = np.cumsum(self._counts[beginning])
            digit = int(np.searchsorted(up_to, rank, side="right"))
            sought.append((beginning * _DIGITS + digit, rank - (int(up_to[digit - 1]) if digit else 0)))
        self._sought = sought
        self._looked += 1
        self._counts = self._no_counts()

    def levels(self) -> IntensityRange | None:
        """See `StreamingPercentiles`."""
        least, *between, most = _numbers([key for key, _ in self._sought], self._dtype)
        check_range(float(least), float(most), self._dtype)
        parts = [place - int(place) for place in self._places]
        black, white = (
            float(np.quantile(np.array(between[2 * number : 2 * number + 2]), np.array([part]))[0])
            for number, part in enumerate(parts)
        )
        return non_empty_range(black, white, float(least), float(most))

    def _no_counts(self) -> dict[int, NDArray[np.int64]]:
        return {beginning: np.zeros(_DIGITS, np.int64) for beginning, _ in self._sought}


def _pieces(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, _TOGETHER // max(1, pixels[:1].size))
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))


def _keys(numbers: NDArray[Any]) -> NDArray[np.uint64]:
    """Map floating-point numbers to whole ones in the same order."""
    bits = 8 * numbers.dtype.itemsize
    plain = np.ascontiguousarray(numbers).ravel() + numbers.dtype.type(0)  # there is a zero below zero
    stored = plain.view(f"u{numbers.dtype.itemsize}").astype(np.uint64)
    sign, every = np.uint64(1 << (bits - 1)), np.uint64((1 << bits) - 1)
    keys: NDArray[np.uint64] = np.where(stored & sign, stored ^ every, stored | sign)
    return keys


def _numbers(keys: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Invert `_keys`."""
    bits = 8 * dtype.itemsize
    sign, every = 1 << (bits - 1), (1 << bits) - 1
    stored = [key ^ sign if key & sign else key ^ every for key in keys]
    return np.array(stored, f"u{dtype.itemsize}").view(dtype)
