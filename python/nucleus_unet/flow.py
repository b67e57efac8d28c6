"""How an image goes through a network: whole, or from top to bottom in strips that fit the processor's caches.

Whole, each layer's features leave the caches before the next layer comes, and are laid into memory that the system
first has to find and clear, which alone took a third of the time of a tile. In strips every layer keeps the last rows
that it was shown until those below come: nothing is computed twice.

In strips, edges are laid around features in memory and convolutions see none. With edges of its own, oneDNN chooses
among ways that differ in the last bits, by the size of the features and the number of threads; without, every number
was the same for all of 26 kinds of layers, 1 to 150 rows, 12 to 1,856 columns, and 1 to 8 threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Flow(Protocol):
    """What layers ask for rows, if an output depends on more than one, or on features that come at different times.

    State is kept by place, a module: no two may ask for the same one.
    """

    def convolved(self, convolution: nn.Conv2d, features: Tensor) -> Tensor:
        """Convolve the rows that can be."""
        ...

    def windows(self, place: nn.Module, features: Tensor, *, kernel: int, stride: int, padding: int) -> Tensor:
        """Return the rows over which a kernel can be moved now, with zeros around the image.

        Parameters
        ----------
        place
            Who asks.
        features : Tensor (N, C, h, W)
            The next rows.
        kernel, stride
            Along the rows.
        padding
            How many rows and columns of zeros.

        Returns
        -------
        Tensor (N, C, h', W + 2 padding)
        """
        ...

    def together(
        self, place: nn.Module, features: Sequence[Tensor], each: Sequence[int] | None = None
    ) -> Sequence[Tensor]:
        """Return of several features the rows that have come of all of them.

        Parameters
        ----------
        place
            Who asks.
        features : sequence of Tensor (N, C, h, W)
            The next rows of each.
        each
            How many rows of each belong together; by default one.

        Returns
        -------
        sequence of Tensor (N, C, h', W)
            The rest waits for the next call.
        """
        ...


class Whole:
    """All rows at once."""

    def convolved(self, convolution: nn.Conv2d, features: Tensor) -> Tensor:
        """See `Flow`."""
        return convolution(features)  # type: ignore[no-any-return]

    def windows(
        self,
        place: nn.Module,  # noqa: ARG002
        features: Tensor,
        *,
        kernel: int,  # noqa: ARG002
        stride: int,  # noqa: ARG002
        padding: int,
    ) -> Tensor:
        """See `Flow`."""
        return functional.pad(features, (padding, padding, padding, padding))

    def together(
        self,
        place: nn.Module,  # noqa: ARG002
        features: Sequence[Tensor],
        each: Sequence[int] | None = None,  # noqa: ARG002
    ) -> Sequence[Tensor]:
        """See `Flow`."""
        return features


WHOLE = Whole()


class Strips:
    """Rows from top to bottom, in several calls of one network; for one image or batch.

    The first strip must be high enough that every layer has at least one row to tell.

    Attributes
    ----------
    last
        Whether the image ends with this strip.
    """

    def __init__(self) -> None:
        self.last = False
        self._above: dict[nn.Module, Tensor] = {}
        self._waiting: dict[nn.Module, list[Tensor]] = {}

    def convolved(self, convolution: nn.Conv2d, features: Tensor) -> Tensor:
        """See `Flow`."""
        kernel, stride, padding = convolution.kernel_size[0], convolution.stride[0], int(convolution.padding[0])
        if kernel > 1:
            features = self.windows(convolution, features, kernel=kernel, stride=stride, padding=padding)
        return convolve(features, convolution.weight, convolution.bias, stride=stride, groups=convolution.groups)

    def windows(self, place: nn.Module, features: Tensor, *, kernel: int, stride: int, padding: int) -> Tensor:
        """See `Flow`."""
        count, channels, height, width = features.shape
        above = self._above.pop(place, None)
        start = padding if above is None else above.shape[2]
        stop = start + height
        rows = stop + padding if self.last else stop
        known = _channels_last((count, channels, rows, width + 2 * padding), features)
        known[:, :, :start] = 0 if above is None else above
        known[:, :, start:stop, :padding] = 0
        known[:, :, start:stop, padding : padding + width] = features
        known[:, :, start:stop, padding + width :] = 0
        known[:, :, stop:] = 0
        done = (rows - kernel) // stride + 1
        # A copy, or all of the strip would stay in memory.
        self._above[place] = _copied(known[:, :, done * stride :])
        return known[:, :, : (done - 1) * stride + kernel]

    def together(
        self, place: nn.Module, features: Sequence[Tensor], each: Sequence[int] | None = None
    ) -> Sequence[Tensor]:
        """See `Flow`."""
        units = each or [1] * len(features)
        if place in self._waiting:
            features = [_below(*pair) for pair in zip(self._waiting[place], features, strict=True)]
        common = min(rows.shape[2] // unit for rows, unit in zip(features, units, strict=True))
        counts = [common * unit for unit in units]
        self._waiting[place] = [_copied(rows[:, :, count:]) for rows, count in zip(features, counts, strict=True)]
        return [rows[:, :, :count] for rows, count in zip(features, counts, strict=True)]


def convolve(rows: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, groups: int = 1) -> Tensor:
    """Convolve features that are padded already.

    On CPUs this asks oneDNN itself: torch gives few numbers, and single threads, to another library.
    """
    if rows.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        rows, weight, bias = rows.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    if rows.device.type != "cpu" or not by_onednn(rows.dtype):
        return functional.conv2d(rows, weight, bias, stride, 0, 1, groups)
    return torch.mkldnn_convolution(rows, weight, bias, (0, 0), (stride, stride), (1, 1), groups)


def by_onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and convolves such numbers on this CPU."""
    return torch._C._has_mkldnn and (dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()))


def beside(*features: Tensor) -> Tensor:
    """Lay the channels of features beside each other; in channels-last layout, `torch.cat` takes its time for it."""
    if torch.is_grad_enabled():
        return torch.cat(features, dim=1)
    count, _, height, width = features[0].shape
    joined = _channels_last((count, sum(each.shape[1] for each in features), height, width), features[0])
    start = 0
    for each in features:
        joined[:, start : start + each.shape[1]] = each
        start += each.shape[1]
    return joined


def _below(waiting: Tensor, features: Tensor) -> Tensor:
    if not waiting.shape[2]:
        return features
    count, channels, above, width = waiting.shape
    stacked = _channels_last((count, channels, above + features.shape[2], width), features)
    stacked[:, :, :above], stacked[:, :, above:] = waiting, features
    return stacked


def _copied(rows: Tensor) -> Tensor:
    return rows.clone(memory_format=torch.channels_last)


def _channels_last(shape: tuple[int, int, int, int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
