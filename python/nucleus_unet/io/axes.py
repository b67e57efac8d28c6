"""Axes that the caller names, in place of what a file or array says."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import ALPHA, GREY, RGB, Channel, Index, LazyScenes, OpenedFile, ReadRegion, Scene, numbered

KNOWN = "TZCYXS"


def check_axes(axes: object, count: int) -> str:
    """Return the letters of ``count`` axes in upper case. Raise `ImageError` if they are none."""
    letters = axes.upper() if isinstance(axes, str) else ""
    if (
        not isinstance(axes, str)
        or len(set(letters)) != len(letters)
        or set(letters) - set(KNOWN)
        or not set("YX") <= set(letters)
    ):
        raise ImageError(f"axes: expected letters of {KNOWN}, each once, with Y and X, got {axes!r}")
    if len(letters) != count:
        raise ImageError(f"axes: expected {count} letters, one for each axis of the image, got {axes!r}")
    return letters


def colours_of(count: int) -> tuple[Channel, ...]:
    """Return what the values of one pixel are if nothing but their number is known."""
    return {1: GREY, 3: RGB, 4: RGB + ALPHA}.get(count) or numbered(count)


def channel_letter(axes: str, channel_axis: object) -> str:
    """Return the letter of an axis by its number. Raise `ImageError` if there is no such axis."""
    count = len(axes)
    if isinstance(channel_axis, bool) or not isinstance(channel_axis, numbers.Integral):
        raise ImageError(f"channel_axis: expected {-count} to {count - 1} for axes {axes}, got {channel_axis!r}")
    if not -count <= int(channel_axis) < count:
        raise ImageError(f"channel_axis: expected {-count} to {count - 1} for axes {axes}, got {channel_axis}")
    return axes[int(channel_axis)]


def rename_axes(opened: OpenedFile, axes: str | None, channel_axis: int | None) -> OpenedFile:
    """Rename the axes of all scenes of a file.

    Parameters
    ----------
    opened
        The file.
    axes, channel_axis
        As `nucleus_unet.io.source.open_image` takes them.

    Raises
    ------
    ImageError
        If they contradict the file.
    """
    if axes is None and channel_axis is None:
        return opened
    names = opened.scene_names
    if isinstance(opened.scenes, LazyScenes):
        scenes = opened.scenes
        return replace(
            opened, scenes=LazyScenes(names, lambda name: _rename(scenes[names.index(name)], axes, channel_axis))
        )
    return replace(opened, scenes=tuple(_rename(scene, axes, channel_axis) for scene in opened.scenes))


def _rename(scene: Scene, axes: str | None, channel_axis: int | None) -> Scene:
    if axes is not None:
        letters = check_axes(axes, len(scene.axes))
        fixed = [(old, new) for old, new in zip(scene.axes, letters, strict=True) if old != new and old in "YXS"]
        if fixed or any(new in "YXS" and old != new for old, new in zip(scene.axes, letters, strict=True)):
            raise ImageError(
                f"axes: the file's axes are {scene.axes}, and Y, X and S stay where they are, got {axes!r}"
            )
        return _with_letters(scene, dict(zip(scene.axes, letters, strict=True)))
    letter = channel_letter(scene.axes, channel_axis)
    if letter in "CS":
        return scene
    if letter != "Q":
        raise ImageError(f"channel_axis: the file's axes are {scene.axes}, got {channel_axis}")
    return _with_letters(scene, {"Q": "C"}, channels=colours_of(scene.sizes["Q"]))


def _with_letters(scene: Scene, letters: Mapping[str, str], channels: tuple[Channel, ...] | None = None) -> Scene:
    old_of = {new: old for old, new in letters.items()}

    def renamed(stored: ReadRegion) -> ReadRegion:
        def read(index: Index, rows: slice, columns: slice) -> NDArray[Any]:
            return stored({old_of.get(axis, axis): number for axis, number in index.items()}, rows, columns)

        return read

    axes = "".join(letters.get(axis, axis) for axis in scene.axes)
    sizes = dict(zip(axes, scene.shape, strict=True))
    if channels is None:
        known = len(scene.channels) == sizes.get("C") and old_of.get("C", "C") == "C"
        channels = scene.channels if known else numbered(sizes.get("C", 0))
    coarser = tuple(map(renamed, scene.coarser))
    return replace(scene, axes=axes, read=renamed(scene.read), coarser=coarser, channels=channels)
