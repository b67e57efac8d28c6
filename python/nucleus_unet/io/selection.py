"""Which planes of an image are meant: one or several scenes, times, planes of a stack and channels.

>>> import numpy as np
>>> from nucleus_unet.io.source import open_image
>>> source = open_image(np.zeros((20, 5, 2, 64, 48), np.uint8), axes="TZCYX")
>>> selection = Selection(time="0:10", z="max", channel=[0, 1])
>>> places = selection.places(source)
>>> len(places), places[9].frame, selection.open(source, places[9]).shape
(10, 9, (64, 48))
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.io.choice import choose_scene
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.projections import PROJECTIONS, CombinedPlane
from nucleus_unet.io.scene import Scene
from nucleus_unet.io.source import ImageSource

Combine = Literal["sum", "max"]
ALL = "all"
"""The value of ``scene``, ``time`` and ``z`` that takes every one."""

# As text: 0:10, :10, 0:10:2, with the end left out as Python does.
_RANGE = re.compile(r"(-?[0-9]*):(-?[0-9]*)(?::([0-9]+))?")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_LETTERS = {"time": "T", "z": "Z"}


@dataclass(frozen=True)
class Place:
    """Where in a file a segmented plane lies.

    Attributes
    ----------
    scene
        Number of the scene.
    scene_name
        Its name; its number where scenes have no names of their own.
    frame
        Number of the time.
    plane
        Number of the plane of a stack. None if the planes were projected to one.
    """

    scene: int = 0
    scene_name: str = "0"
    frame: int = 0
    plane: int | None = 0


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is to be segmented of a file.

    Attributes
    ----------
    scene
        Number or name, a range such as ``0:10``, or ``all``. None: the only one.
    time
        Number, range, or ``all``. None: the only one.
    z
        Number, range, ``all``, or a projection: ``max``, ``mean``, ``focus``. None: the only one.
    channel
        Number or name, or several, which become one. None: the only one, or the colours.
    combine
        How several channels become one.
    """

    scene: int | str | None = None
    time: int | str | None = None
    z: int | str | None = None
    channel: int | str | Sequence[int | str] | None = None
    combine: Combine = "sum"

    @property
    def several(self) -> bool:
        """Whether ranges or all scenes, times or planes are asked for, even if there is only one."""
        return any(_is_several(value) for value in (self.scene, self.time, self.z))

    def places(self, source: ImageSource) -> list[Place]:
        """Return the planes that are meant, in the order of scenes, times and planes of a stack. No pixel is read.

        Raises
        ------
        ImageError
            If nothing tells which of several is meant, or there is none of a number or name. The message lists the
            choices.
        """
        names = source.scenes
        unique = all(names) and len(set(names)) == len(names)
        places = []
        for scene in _numbers(source, "scene", self.scene, len(names)) or [choose_scene(names, self.scene)]:
            name = names[scene] if unique else str(scene)
            found = [Place(scene, name, frame, plane) for frame, plane in self._within(source, source.scene(scene))]
            self.open(source, found[0])  # raises ImageError for what is left to be chosen
            places += found
        return places

    def open(self, source: ImageSource, place: Place, *, level: int = 0) -> Plane:
        """Return one of the planes that `places` returned; ``level`` is that of a pyramid, 0 the full resolution.

        Raises
        ------
        ImageError
            See `places`.
        """
        planes = self._stack(source, place, level)
        if len(planes) == 1:
            return planes[0]
        return CombinedPlane(planes, str(self.z))

    def only(self, source: ImageSource) -> Plane:
        """Return the plane that is meant, where only one can be segmented.

        Raises
        ------
        SettingsError
            If several are asked for.
        ImageError
            See `places`.
        """
        if self.several:
            raise SettingsError("expected one scene, one time, and one plane or a projection, got a range or 'all'")
        return self.open(source, self.places(source)[0])

    def _within(self, source: ImageSource, scene: Scene) -> list[tuple[int, int | None]]:
        """Return the times and planes of a scene."""
        frames = _numbers(source, "time", self.time, self._count(scene, "time")) or [_single(self.time, scene, "T")]
        if self.z in PROJECTIONS:
            return [(frame, None) for frame in frames]
        planes = _numbers(source, "z", self.z, self._count(scene, "z")) or [_single(self.z, scene, "Z")]
        return [(frame, plane) for frame in frames for plane in planes]

    def _count(self, scene: Scene, option: str) -> int:
        """Return the number of times or planes; if this option is given, that of pages that nothing explains (Q)."""
        sizes = scene.sizes
        count = sizes.get(_LETTERS[option], 1)
        return sizes.get("Q", 1) if count == 1 and getattr(self, option) is not None else count

    def _stack(self, source: ImageSource, place: Place, level: int) -> list[Plane]:
        """Return the planes that are projected to the plane at a place: one, unless there is a projection."""
        scene = source.scene(place.scene)
        time = None if self.time is None else place.frame
        if place.plane is not None:
            return [self._merged(source, place.scene, time, None if self.z is None else place.plane, level)]
        count = self._count(scene, "z")
        if count == 1:
            return [self._merged(source, place.scene, time, 0, level)]
        return [self._merged(source, place.scene, time, number, level) for number in range(count)]

    def _merged(self, source: ImageSource, scene: int, time: int | None, z: int | None, level: int) -> Plane:
        """Return a plane whose several channels are one."""
        channels = [self.channel] if self.channel is None or isinstance(self.channel, int | str) else self.channel
        planes: list[Plane] = [
            source.plane(scene=scene, time=time, z=z, channel=each, level=level) for each in channels
        ]
        if len(planes) == 1:
            return planes[0]
        if any(plane.channels is not None for plane in planes):
            raise ImageError(f"{source.name}: channel: expected several single channels, got colours among them")
        return CombinedPlane(planes, self.combine)


def check_channels(name: str, value: Any) -> int | str | tuple[int | str, ...]:
    """Return a number or name of a channel, or several.

    Raises
    ------
    SettingsError
        For any other value; ``name`` is that of the option.
    """
    if isinstance(value, list | tuple):
        if not value:
            raise SettingsError(f"{name}: expected at least one channel, got none")
        several = tuple(_one_channel(name, each) for each in value)
        if len(set(several)) < len(several):
            raise SettingsError(f"{name}: expected different channels, got {list(several)}")
        return several if len(several) > 1 else several[0]
    return _one_channel(name, value)


def _one_channel(name: str, value: Any) -> int | str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise SettingsError(f"{name}: expected the number or the name of a channel, got {value!r}")
    return int(value)


def check_places(*words: str, names: bool = False) -> Callable[[str, Any], int | str]:
    """Return a function of an option's name and value that returns a number, or a range or word as text.

    It raises `SettingsError` for any other value.

    Parameters
    ----------
    words
        Known ones, beside ``all``.
    names
        Whether any other text is a name.
    """
    listed = ", ".join(map(repr, (*words, "all")))

    def check(name: str, value: Any) -> int | str:
        if isinstance(value, slice | range):
            parts = (value.start, value.stop) if value.step in (None, 1) else (value.start, value.stop, value.step)
            value = ":".join("" if each is None else str(each) for each in parts)
        if isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return int(value)
        if isinstance(value, str):
            if value in (*words, ALL) or _RANGE.fullmatch(value) or (names and value):
                return value
            if _INTEGER.fullmatch(value):
                return int(value)
        raise SettingsError(f"{name}: expected a number, a range such as '0:10', {listed}, got {value!r}")

    return check


def _is_several(value: object) -> bool:
    return isinstance(value, str) and (value == ALL or _RANGE.fullmatch(value) is not None)


def _numbers(source: ImageSource, option: str, value: int | str | None, count: int) -> list[int]:
    """Return the numbers that a range or ``all`` means; nothing for any other value."""
    if not isinstance(value, str) or not _is_several(value):
        return []
    if value == ALL:
        return list(range(count))
    found = _RANGE.fullmatch(value)
    assert found is not None
    start, stop, step = (int(each) if each else None for each in found.groups())
    whole = all(each is None or -count <= each <= count for each in (start, stop))
    found_numbers = list(range(count)[start:stop:step]) if whole and step != 0 else []
    if not found_numbers:
        raise ImageError(f"{source.name}: {option}: expected a range within 0:{count}, got {value}")
    return found_numbers


def _single(value: int | str | None, scene: Scene, axis: str) -> int:
    """Return the number of the only time or plane that is meant. Whether there is one, the source checks."""
    number, count = int(value or 0), scene.sizes.get(axis, scene.sizes.get("Q", 1))
    return number + count if -count <= number < 0 else number
