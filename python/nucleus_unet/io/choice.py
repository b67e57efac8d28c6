"""Which plane of an image is meant: the rules for scenes, times, planes of a stack and channels.

Metadata decide. Where they leave a choice, the error lists what there is and the option to give.
"""

from __future__ import annotations

import numbers
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import Channel, Scene

COLOURS = "rgb"
"""The value of ``channel`` that takes three channels for red, green and blue."""

# A channel's name can look like a number; a number can be given as text.
_NUMBER = re.compile(r"-?[0-9]+")
_WORDS = {"T": "times", "Z": "planes", "C": "channels", "Q": "pages"}
_SEVERAL = {
    "T": "or several: --time 0:2, --time all",
    "Z": "project them: --z max, --z mean, --z focus; or take several: --z 0:2, --z all",
}
_OPTIONS = {"T": "time", "Z": "z", "C": "channel"}


@dataclass(frozen=True)
class Choice:
    """A plane of a scene.

    Attributes
    ----------
    index
        Number along each axis but Y, X, S and ``colour_axis``.
    samples
        Number of the chosen sample, or a slice of three. None without an axis S.
    colour_axis
        Axis whose first three places are red, green and blue. None if there is none.
    alpha
        Number of the sample, or of the place on ``colour_axis``, that is the opacity. None if there is none.
    """

    index: dict[str, int]
    samples: int | slice | None = None
    colour_axis: str | None = None
    alpha: int | None = None


def choose_scene(names: Sequence[str], scene: int | str | None) -> int:
    """Return the number of the scene that is meant."""
    shown = _listed(
        [f"{number} {name}" if name not in ("", str(number)) else str(number) for number, name in enumerate(names)]
    )
    if scene is None:
        if len(names) > 1:
            raise ImageError(
                f"it has {len(names)} scenes ({shown}); choose one with --scene, such as --scene 0, "
                "or several: --scene 0:2, --scene all"
            )
        return 0
    return _number(scene, names, "scene")


def choose_plane(scene: Scene, *, time: int | None, z: int | None, channel: int | str | None) -> Choice:
    """Return the plane of a scene that is meant.

    Raises
    ------
    ImageError
        If there are several and none is chosen, or there is none of this number or name.
    """
    sizes = scene.sizes
    given: dict[str, Any] = {"T": time, "Z": z, "C": channel}
    if sizes.get("Q", 1) > 1:
        return _choose_page(scene, given)
    index = {axis: 0 for axis in sizes if axis not in "YXSC"}
    for axis in "TZ":
        index |= _choose_place(axis, sizes, given[axis])
    return _choose_values(scene, index, channel)


def _choose_values(scene: Scene, index: dict[str, int], channel: int | str | None) -> Choice:
    """Choose the channel or the colours at a place on all other axes."""
    sizes = scene.sizes
    if "C" not in sizes:
        return Choice(index, *_choose_sample(scene.samples, sizes, channel))
    if "S" in sizes:
        index["C"] = _choose_channel(scene.channels, channel)
        return Choice(index, *_choose_sample(scene.samples, sizes, None))
    if _are_colours(scene.channels, channel):
        alpha = next((number for number, each in enumerate(scene.channels) if each.kind == "alpha"), None)
        return Choice(index, colour_axis="C", alpha=alpha)
    return Choice({**index, "C": _choose_channel(scene.channels, channel)})


def _choose_page(scene: Scene, given: dict[str, Any]) -> Choice:
    """Choose of pages that the file does not explain: the option that is given says what they are."""
    sizes = scene.sizes
    count = sizes["Q"]
    meant = [axis for axis, value in given.items() if value is not None and sizes.get(axis, 1) == 1]
    if len(meant) != 1:
        raise ImageError(_which_page(sizes))
    axis = meant[0]
    index = {other: 0 for other in sizes if other not in "YXSQC"}
    for other in "TZ":
        if other != axis:
            index |= _choose_place(other, sizes, given[other])
    if axis == "C" and given["C"] == COLOURS and count == 3 and "S" not in sizes:
        return Choice(index | ({"C": 0} if "C" in sizes else {}), colour_axis="Q")
    index["Q"] = _number(given[axis], [""] * count, _OPTIONS[axis])
    return _choose_values(scene, index, None if axis == "C" else given["C"])


def _which_page(sizes: dict[str, int]) -> str:
    """Return what to give for pages that the file does not explain: an option for an axis that it does not have."""
    count, free = sizes["Q"], [_OPTIONS[axis] for axis in "CZT" if sizes.get(axis, 1) == 1]
    if not free:
        return (
            f"it has an axis of {count} beside times, planes and channels, which is not read; save a part of the file"
        )
    listed = f"{', '.join(f'--{each}' for each in free[:-1])} or --{free[-1]}" if free[1:] else f"--{free[0]}"
    colours = free[0] == "channel" and count == 3 and "S" not in sizes
    return (
        f"it has {count} pages, and nothing says what they are: choose one with {listed}, such as --{free[0]} 0 to "
        f"--{free[0]} {count - 1}" + (f"; --channel {COLOURS} takes them for red, green and blue" if colours else "")
    )


def _choose_place(axis: str, sizes: dict[str, int], value: int | None) -> dict[str, int]:
    count, option = sizes.get(axis, 1), _OPTIONS[axis]
    if value is None:
        if count > 1:
            raise ImageError(
                f"it has {count} {_WORDS[axis]} (axes {_shown(sizes)}); choose one with --{option}, "
                f"such as --{option} {count // 2}, {_SEVERAL[axis]}"
            )
        return {axis: 0} if axis in sizes else {}
    number = _number(value, [""] * count, option)
    return {axis: number} if axis in sizes else {}


def _are_colours(channels: Sequence[Channel], channel: int | str | None) -> bool:
    colours = [number for number, each in enumerate(channels) if each.kind == "colour"]
    if channel is None:
        return colours == [0, 1, 2]
    if channel == COLOURS and not any(each.name == COLOURS for each in channels):
        if len(channels) != 3 and colours != [0, 1, 2]:
            raise ImageError(f"channel: expected three channels for {COLOURS}, got {len(channels)}")
        return True
    return False


def _choose_channel(channels: Sequence[Channel], channel: int | str | None) -> int:
    names = [each.name for each in channels]
    if not names:
        raise ImageError("image shape: expected at least one channel, got none")
    if channel is None:
        if len(names) == 1:
            return 0
        more = f", or --channel {COLOURS} if they are red, green and blue" if len(names) == 3 else ""
        raise ImageError(
            f"channel: expected one of the {len(names)} channels {_quoted(names)}, got none; choose the nuclear stain "
            f"with --channel (channel= in Python), such as --channel {_example(names)}{more}"
        )
    return _number(channel, names, "channel")


def _choose_sample(
    samples: Sequence[Channel], sizes: dict[str, int], channel: int | str | None
) -> tuple[int | slice | None, None, int | None]:
    """Return the sample or samples, the colour axis (none), and the sample that is the opacity."""
    if "S" not in sizes:
        if isinstance(channel, bool) or channel not in (None, 0, -1, "0", "-1"):
            raise ImageError(f"channel: the image has only one, got channel={channel!r}")
        return None, None, None
    alpha = next((number for number, each in enumerate(samples) if each.kind == "alpha"), None)
    colours = [number for number, each in enumerate(samples) if each.kind == "colour"]
    if channel is None or channel == COLOURS:
        if colours == [0, 1, 2] or (channel == COLOURS and len(samples) == 3):
            return slice(0, 3), None, alpha
        if channel is None and len(colours) == 1:
            return colours[0], None, alpha
        if channel is None and len(samples) == 1:
            return 0, None, None
        return _choose_channel(samples, None), None, alpha
    return _number(channel, [each.name for each in samples], "channel"), None, alpha


def _number(value: Any, names: Sequence[str], option: str) -> int:
    """Return the place of a number or name among ``names``."""
    if isinstance(value, str):
        exact = [number for number, name in enumerate(names) if value and name == value]
        if len(exact) > 1:
            raise ImageError(
                f"{option}: {len(exact)} {option}s are named {value!r}; give one of their numbers: "
                + ", ".join(map(str, exact))
            )
        if exact:
            return exact[0]
        folded = [number for number, name in enumerate(names) if name and name.casefold() == value.casefold()]
        if len(folded) == 1:
            return folded[0]
        if not (len(value) < 10 and _NUMBER.fullmatch(value)):
            named = [name for name in names if name]
            known = f"the {option}s are {_quoted(named)}" if named else f"the {option}s have no names: give a number"
            raise ImageError(f"{option}: no {option} is named {value!r}; {known}")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ImageError(f"{option}: expected the number or the name of a {option}, got {value!r}")
    count, number = len(names), int(value)
    if not -count <= number < count:
        expected = f"0 to {count - 1}, or -{count} to -1" if count > 1 else "0, as there is only one"
        raise ImageError(f"{option}: expected {expected}, got {number}")
    return number % count


def _example(names: Sequence[str]) -> str:
    """Return the channel that is most likely the nuclear stain, as a shell takes it."""
    likely = [name for name in names if re.search(r"dapi|hoechst|draq|nucle|h2b|dna|sytox|topro", name, re.IGNORECASE)]
    return shlex.quote((likely or list(names))[0])


def _shown(sizes: dict[str, int]) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in sizes.items())


def _quoted(names: Sequence[str]) -> str:
    return _listed([repr(name) for name in names])


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
