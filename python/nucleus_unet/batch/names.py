"""Choose the names of results, so that no two images have one name on any file system."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

# Names that Windows keeps for devices, with any suffix; characters that its file systems refuse.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]')
# File systems take 255 bytes; a result's suffix is added to a name.
_LONGEST = 230
_DIGITS = 8


def choose_names(
    images: Sequence[tuple[Path, Path]],
    *,
    suffixes: Sequence[str],
    kept: Mapping[Path, Path] | None = None,
    reserved: Collection[str] = (),
) -> list[Path]:
    """Return the name of each image's results, relative to the output folder, without a suffix.

    It is the image's name without its suffix. Images whose results would have one name then get longer names, all of
    them: the whole file name, then the folder too, then a number made from the path. Names are the same if they differ
    only in case or in the Unicode form of a letter, and a result never has the name of a folder of other results.

    Parameters
    ----------
    images
        Path of each image, and its name in the output folder, with the suffix of the image.
    suffixes
        All that may be appended to a name to make the name of a result.
    kept
        Names that images have from an earlier run, by the absolute path of the image.
    reserved
        File names in the output folder that no result may have.

    Examples
    --------
    >>> images = [(Path("in", name), Path(name)) for name in ("a.tif", "A.png", "b.tif")]
    >>> [name.as_posix() for name in choose_names(images, suffixes=[".csv"])]
    ['a.tif', 'A.png', 'b']
    """
    kept = kept or {}
    names = [kept.get(absolute(path)) for path, _ in images]
    free = [index for index, name in enumerate(names) if name is None]
    levels = dict.fromkeys(free, 0)
    parents = _common_parents(images)
    moved = set(free)
    while moved:
        for index in moved:
            names[index] = _candidate(*images[index], parents[index], levels[index])
        chosen = [name for name in names if name is not None]
        moved = _clashing(chosen, suffixes, reserved) & levels.keys()
        for index in moved:
            levels[index] += 1
    return [name for name in names if name is not None]


def absolute(path: Path) -> Path:
    """Return an absolute path without ``..``; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (Path has no such function)


def same_on_any_system(name: Path) -> str:
    """Return what two names have in common if some file system takes them for one.

    Examples
    --------
    >>> same_on_any_system(Path("A/e\u0301.tif")) == same_on_any_system(Path("a/\u00e9.TIF"))
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.as_posix()).casefold())


def _clashing(names: Sequence[Path], suffixes: Sequence[str], reserved: Collection[str]) -> set[int]:
    """Return the indices of names with a result that is also another's, a folder, or reserved."""
    keys = [same_on_any_system(name) for name in names]
    folders = {same_on_any_system(folder) for name in names for folder in name.parents}
    taken = folders | {same_on_any_system(Path(name)) for name in reserved}
    owners: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        for suffix in suffixes:
            owners.setdefault(key + suffix, []).append(index)
    return {index for file, several in owners.items() if len(several) > 1 or file in taken for index in several}


def _candidate(path: Path, relative: Path, parent: Path, level: int) -> Path:
    if level == 0:
        return _safe(relative.with_suffix("") if relative.stem.strip(". ") else relative)
    if level == 1:
        return _safe(relative)
    if level == 2:
        return _safe(absolute(path).relative_to(parent))
    digest = hashlib.sha256(os.fsencode(absolute(path)) + bytes([level % 256])).hexdigest()[:_DIGITS]
    return _safe(relative.with_name(f"{relative.name}-{digest}"))


def _common_parents(images: Sequence[tuple[Path, Path]]) -> list[Path]:
    """Return for each image the deepest folder of all images that have its file name."""
    groups: dict[str, list[Path]] = {}
    keys = [same_on_any_system(Path(relative.name)) for _, relative in images]
    for key, (path, _) in zip(keys, images, strict=True):
        groups.setdefault(key, []).append(absolute(path).parent)
    common = {key: _common(folders) for key, folders in groups.items()}
    return [
        common[key] if absolute(path).is_relative_to(common[key]) else absolute(path).parent
        for key, (path, _) in zip(keys, images, strict=True)
    ]


def _common(folders: Iterable[Path]) -> Path:
    try:
        return Path(os.path.commonpath(list(folders)))
    except ValueError:  # on several drives of Windows
        return Path("?")


def _safe(name: Path) -> Path:
    """Return a name that every file system takes."""
    return Path(*map(_safe_part, name.parts))


def _safe_part(part: str) -> str:
    safe = _REFUSED.sub("_", part).rstrip(". ") or "_"
    if _DEVICES.match(safe):
        safe = f"_{safe}"
    content = os.fsencode(safe)
    if len(content) > _LONGEST:
        digest = hashlib.sha256(os.fsencode(part)).hexdigest()[:_DIGITS]
        short = content[: _LONGEST - _DIGITS - 1]
        # Bytes of a letter that was cut in two are left out; other bytes that are no letters stay.
        while short and (content[len(short)] & 0xC0) == 0x80:
            short = short[:-1]
        safe = f"{os.fsdecode(short)}-{digest}"
    return safe
