"""Images from arrays: numpy (also memory-mapped), zarr, dask, torch, xarray, Pillow, and what numpy can convert."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from nucleus_unet.errors import ImageError
from nucleus_unet.io.axes import channel_letter, check_axes, colours_of
from nucleus_unet.io.dtypes import working_dtype
from nucleus_unet.io.pillow import open_pillow
from nucleus_unet.io.scene import Channel, OpenedFile, Scene, numbered
from nucleus_unet.io.segments import LARGEST_SEGMENT
from nucleus_unet.io.whole import ArrayLike, refuse_mask, region_reader

# Names of dimensions, as xarray and viewers have them, in lower case, and their letters.
DIMENSIONS = {
    **dict.fromkeys(("t", "time", "frame", "frames"), "T"),
    **dict.fromkeys(("z", "plane", "pln", "depth"), "Z"),
    **dict.fromkeys(("c", "channel", "channels", "ch", "wavelength", "band"), "C"),
    **dict.fromkeys(("y", "row", "rows", "height"), "Y"),
    **dict.fromkeys(("x", "column", "columns", "col", "width"), "X"),
    **dict.fromkeys(("s", "sample", "samples", "rgb", "rgba", "colour", "color"), "S"),
}


def open_array(source: Any, *, axes: str | None = None, channel_axis: int | None = None) -> OpenedFile:
    """Open an array as an image.

    Without ``axes`` and ``channel_axis``, (H, W) is grey, (H, W, 1), (H, W, 3) and (H, W, 4) are grey, colours, and
    colours with alpha. Dimensions that are named, as those of xarray, are what their names say.

    Raises
    ------
    ImageError
        If it is no array of pixels, or nothing tells which axis is which.
    """
    if type(source).__module__.partition(".")[0] == "PIL":
        return open_pillow(source)
    if type(source).__module__.partition(".")[0] == "zarr" and not hasattr(source, "dtype"):
        from nucleus_unet.io.zarr import open_group

        return open_group(source)
    refuse_mask(source)
    names, labels = _dimensions(source)
    if not names and axes is None and channel_axis is None:
        _check_unknown_dimensions(source)
    array = _as_array(source.data if names and hasattr(source, "coords") else source)
    _check_shape_and_chunks(array)
    letters, channels = _letters(tuple(array.shape), names, axes, channel_axis)
    sizes = dict(zip(letters, array.shape, strict=True))
    if labels and len(labels) == sizes.get("C"):
        channels = tuple(map(Channel, labels))
    working_dtype(np.dtype(array.dtype))
    has_samples = "S" in letters
    return OpenedFile(
        format=f"array of {type(source).__module__.partition('.')[0]}",
        scenes=(
            Scene(
                axes=letters,
                shape=tuple(int(size) for size in array.shape),
                dtype=np.dtype(array.dtype),
                read=region_reader(array, letters),
                channels=numbered(sizes.get("C", 0)) if has_samples else channels,
                samples=channels if has_samples else (),
            ),
        ),
    )


def _as_array(source: Any) -> Any:
    """Return an array whose regions numpy understands: the source itself, or a conversion of it."""
    if hasattr(source, "detach"):
        source = _on_cpu(source)
    try:
        if hasattr(source, "shape") and hasattr(source, "dtype") and hasattr(source, "__getitem__"):
            np.dtype(source.dtype)
            return source
    except TypeError:  # a dtype of another library
        pass
    if isinstance(source, str | bytes | dict) or source is None:
        raise ImageError(f"image: expected a path or an array of pixels, got {type(source).__name__}")
    try:
        return np.asarray(source)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths
        raise ImageError(f"image: expected an array of pixels, got {type(source).__name__} ({error})") from error


def _on_cpu(tensor: Any) -> Any:
    """Return a tensor of torch, perhaps on a GPU, as one that numpy can convert."""
    try:
        tensor = tensor.detach().cpu()
        return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    except RuntimeError as error:  # tensors without data
        raise ImageError(f"image: expected an array of pixels, got {type(tensor).__name__} ({error})") from error


def _names_of_dimensions(source: Any) -> tuple[Any, ...]:
    """Return the names of an array's dimensions as xarray and zarr 3 have them; nothing if it has none."""
    dims: Sequence[Hashable] = getattr(source, "dims", ()) if hasattr(source, "coords") else ()
    dims = dims or getattr(getattr(source, "metadata", None), "dimension_names", None) or ()
    return dims if isinstance(dims, tuple) else ()


def _check_unknown_dimensions(source: Any) -> None:
    """Raise `ImageError` if dimensions of three or more have names that say nothing of axes, such as ``stain``.

    Their order is no reason to take the last for colours. The names that xarray itself gives are none.
    """
    dims = _names_of_dimensions(source)
    if len(dims) > 2 and not all(name in (None, "", f"dim_{place}") for place, name in enumerate(dims)):
        raise ImageError(
            f"image: its dimensions are named {', '.join(map(str, dims))}, and which of them are rows, columns and "
            f'channels is not known; give a letter for each, such as axes="{"TZCYX"[-len(dims) :]}"'
        )


def _dimensions(source: Any) -> tuple[tuple[str, ...], list[str]]:
    """Return the letters of an array's named dimensions, and the names of its channels; nothing if it names none.

    xarray has ``dims`` and ``coords``, zarr 3 has ``dimension_names``.
    """
    coords, dims = getattr(source, "coords", {}), _names_of_dimensions(source)
    letters = tuple(DIMENSIONS.get(str(name).lower(), "") for name in dims)
    if "" in letters or len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        return (), []
    labels: list[str] = []
    if "C" in letters and (dim := dims[letters.index("C")]) in coords:
        labels = [str(label) for label in np.asarray(coords[dim])]
    return letters, labels


def _letters(
    shape: tuple[int, ...], named: Sequence[str], axes: str | None, channel_axis: int | None
) -> tuple[str, tuple[Channel, ...]]:
    """Return a letter for each axis, and what the places on the axis C or S are."""
    if axes is not None:
        letters = check_axes(axes, len(shape))
        sizes = dict(zip(letters, shape, strict=True))
        return letters, colours_of(sizes["S"]) if "S" in sizes else numbered(sizes.get("C", 0))
    if named:
        sizes = dict(zip(named, shape, strict=True))
        return "".join(named), colours_of(sizes["S"]) if "S" in sizes else numbered(sizes.get("C", 0))
    if len(shape) == 2 and channel_axis is None:
        return "YX", ()
    if len(shape) != 3:
        raise ImageError(
            "image shape: expected (H, W) or (H, W, C), or three axes with channel_axis=, got "
            f"{shape}"
            + (
                '; choose one plane first, or name the axes, such as axes="TZCYX", and choose one'
                if len(shape) > 3
                else ""
            )
        )
    if channel_axis is None:
        _check_channels_last(shape)
        channel_axis = -1
    rest = iter("YX")
    chosen = channel_letter("012", channel_axis)
    letters = "".join("S" if axis == chosen else next(rest) for axis in "012")
    return letters, colours_of(shape[int(chosen)])


def _check_channels_last(shape: tuple[int, ...]) -> None:
    """Raise `ImageError` if the last axis does not look like channels, because pixels would be taken for channels."""
    first, _, last = shape
    if last in (1, 3, 4) or last <= min(shape[:2]):
        return
    raise ImageError(
        f"image shape: expected 1, 3 or 4 channels, got {last} in an image of shape {shape}; if channels come first, "
        f"give channel_axis=0; if the first axis is a stack or a time series of {first} planes, give axes='ZYX' or "
        "'TYX' and choose one"
    )


def _check_shape_and_chunks(array: ArrayLike) -> None:
    """Raise `ImageError` if regions of an array cannot be read in bounded memory."""
    if any(math.isnan(size) for size in array.shape):
        raise ImageError(f"image: expected a known shape, got {array.shape}; call compute_chunk_sizes() first")
    chunk = getattr(array, "chunksize", getattr(array, "chunks", None))  # dask's, zarr's
    if not (isinstance(chunk, tuple) and all(isinstance(side, int) for side in chunk)):
        return
    if math.prod(chunk) * np.dtype(array.dtype).itemsize > LARGEST_SEGMENT:
        raise ImageError(f"image: its chunks are too large to be read in parts, {chunk}: rechunk it first")
