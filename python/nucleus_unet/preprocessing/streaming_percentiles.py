"""Exact percentiles of a slide from passes over its regions: one pass for integers, several for floating point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.preprocessing.normalisation import (
    OTHERS_PERCENTILES,
    PERCENTILES,
    IntensityRange,
    check_range,
    count_values,
    percentile_range_of_counts,
    range_with,
)

_DIGIT_BITS = 16
_DIGITS = 2**_DIGIT_BITS
# Number of values that are processed at a time. The intermediate arrays need several times their memory.
_CHUNK_VALUES = 2**20
# Place of the lower percentile among the targets of a search.
_LOW = 1


class StreamingPercentiles(Protocol):
    """Computes the intensity range of a slide from one or several passes over all its regions.

    Attributes
    ----------
    passes
        Number of passes.
    """

    passes: int

    def count(self, pixels: NDArray[Any]) -> Any:
        """Return the counts of a region, (h, w) or (h, w, 3). Several threads may call it at once."""
        ...

    def add(self, counts: Any) -> None:
        """Add the counts of a region."""
        ...

    def end_pass(self) -> None:
        """Finish a pass over all regions.

        Raises
        ------
        ImageError
            If pixels are NaN or infinite.
        """
        ...

    def intensity_range(self) -> IntensityRange | None:
        """Return the result of `nucleus_unet.preprocessing.normalisation.percentile_range` for the whole slide."""
        ...

    def others(self) -> StreamingPercentiles | None:
        """Return an object that gives the range, after its own passes, if nearly all values are one; else None."""
        ...


def streaming_percentiles_for(dtype: np.dtype[Any], size: int) -> StreamingPercentiles:
    """Return an object without counts for a slide of ``size`` values of a type."""
    return _RankPercentiles(dtype, size) if dtype.kind == "f" else _HistogramPercentiles(dtype)


class _HistogramPercentiles:
    """Counts each value of integers with up to 16 bits."""

    passes = 1

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._counts = np.zeros(2 ** (8 * dtype.itemsize), np.int64)

    def count(self, pixels: NDArray[Any]) -> NDArray[np.int64]:
        """See `StreamingPercentiles`."""
        return count_values(pixels)

    def add(self, counts: NDArray[np.int64]) -> None:
        """See `StreamingPercentiles`."""
        self._counts += counts

    def end_pass(self) -> None:
        """See `StreamingPercentiles`."""

    def intensity_range(self) -> IntensityRange | None:
        """See `StreamingPercentiles`."""
        return percentile_range_of_counts(self._counts)

    def others(self) -> None:
        """See `StreamingPercentiles`."""


class _RankPercentiles:
    """Finds the floating-point numbers next to the percentiles, by a radix search, 16 bits at a time.

    Numbers are mapped to unsigned integers (keys) in the same order. Each pass counts the next 16 bits of the keys that
    have the prefix of a target.

    """

    def __init__(self, dtype: np.dtype[Any], size: int, *, without: float | None = None) -> None:
        self._dtype, self._size, self._without = dtype, size, without
        self.passes = 8 * dtype.itemsize // _DIGIT_BITS
        shares = PERCENTILES if without is None else OTHERS_PERCENTILES
        self._positions = [share / 100 * (size - 1) for share in shares]  # equal to numpy's to the last bit
        ranks = [rank for position in self._positions for rank in (int(position), min(int(position) + 1, size - 1))]
        # Targets are the percentiles, the minimum and the maximum: the prefix of the key, and the rank among such keys.
        self._targets = [(0, rank) for rank in (0, *ranks, size - 1)]
        self._pass, self._unusable = 0, 0
        self._counts = self._no_counts()

    def count(self, pixels: NDArray[Any]) -> tuple[dict[int, NDArray[np.int64]], int]:
        """See `StreamingPercentiles`."""
        counts, unusable = self._no_counts(), 0
        for numbers in _chunks(pixels):
            if self._pass == 0:
                finite = np.isfinite(numbers)
                unusable += int(np.count_nonzero(~(finite if finite.ndim == 2 else finite.all(axis=-1))))
            keys = _keys(numbers if self._without is None else numbers[numbers != self._without])
            digits = (keys >> np.uint64((self.passes - 1 - self._pass) * _DIGIT_BITS)) & np.uint64(_DIGITS - 1)
            for prefix, prefix_counts in counts.items():
                selected = digits
                if self._pass:
                    selected = digits[keys >> np.uint64((self.passes - self._pass) * _DIGIT_BITS) == prefix]
                prefix_counts += np.bincount(selected.astype(np.intp), minlength=_DIGITS)
        return counts, unusable

    def add(self, counts: tuple[dict[int, NDArray[np.int64]], int]) -> None:
        """See `StreamingPercentiles`."""
        region_counts, unusable = counts
        self._unusable += unusable
        for prefix, prefix_counts in region_counts.items():
            self._counts[prefix] += prefix_counts

    def end_pass(self) -> None:
        """See `StreamingPercentiles`."""
        if self._unusable:
            raise ImageError(
                f"image values: expected finite numbers, got {self._unusable} pixels that are NaN or infinite; "
                "replace them first"
            )
        targets = []
        for prefix, rank in self._targets:
            up_to = np.cumsum(self._counts[prefix])
            digit = int(np.searchsorted(up_to, rank, side="right"))
            targets.append((prefix * _DIGITS + digit, rank - (int(up_to[digit - 1]) if digit else 0)))
        prefix, _ = self._targets[_LOW]
        self._equal_to_low = int(self._counts[prefix][targets[_LOW][0] % _DIGITS])
        self._targets = targets
        self._pass += 1
        self._counts = self._no_counts()

    def intensity_range(self) -> IntensityRange | None:
        """See `StreamingPercentiles`."""
        low, high = self._percentiles()
        if self._without is not None:
            return range_with(self._without, low, high)
        return IntensityRange(low, high) if high > low else None

    def others(self) -> StreamingPercentiles | None:
        """See `StreamingPercentiles`."""
        low, high = self._percentiles()
        size = self._size - self._equal_to_low
        is_found = self._without is not None or high > low or not size
        return None if is_found else _RankPercentiles(self._dtype, size, without=low)

    def _percentiles(self) -> tuple[float, float]:
        minimum, *neighbours, maximum = _numbers([key for key, _ in self._targets], self._dtype)
        check_range(float(minimum), float(maximum), self._dtype)
        parts = [position - int(position) for position in self._positions]
        low, high = (
            float(np.quantile(np.array(neighbours[2 * number : 2 * number + 2]), np.array([part]))[0])
            for number, part in enumerate(parts)
        )
        return low, high

    def _no_counts(self) -> dict[int, NDArray[np.int64]]:
        return {prefix: np.zeros(_DIGITS, np.int64) for prefix, _ in self._targets}


def _chunks(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    rows = max(1, _CHUNK_VALUES // max(1, pixels[:1].size))
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))


def _keys(numbers: NDArray[Any]) -> NDArray[np.uint64]:
    """Map floating-point numbers to unsigned integers in the same order."""
    bits = 8 * numbers.dtype.itemsize
    positive_zero = np.ascontiguousarray(numbers).ravel() + numbers.dtype.type(0)  # turns -0 into 0
    bits_of = positive_zero.view(f"u{numbers.dtype.itemsize}").astype(np.uint64)
    sign, all_bits = np.uint64(1 << (bits - 1)), np.uint64((1 << bits) - 1)
    keys: NDArray[np.uint64] = np.where(bits_of & sign, bits_of ^ all_bits, bits_of | sign)
    return keys


def _numbers(keys: list[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Inverse of `_keys`."""
    bits = 8 * dtype.itemsize
    sign, all_bits = 1 << (bits - 1), (1 << bits) - 1
    stored = [key ^ sign if key & sign else key ^ all_bits for key in keys]
    return np.array(stored, f"u{dtype.itemsize}").view(dtype)
