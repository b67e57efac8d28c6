"""The layout of annotations beside images: files of QuPath, ImageJ or napari that are named after their image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from threading import Lock

from nucleus_unet.data.annotations import ANNOTATION_FORMATS, Drawing, read_drawing
from nucleus_unet.data.drawn import without_view
from nucleus_unet.data.label_images import LABEL_SUFFIXES
from nucleus_unet.data.sources import IMAGE_SUFFIXES, LABEL_ENDINGS, Entry, is_hidden, is_label_file

_IMAGES = "images"
# Folders beside `images` in which annotations may lie.
_FOLDERS = ("annotations", "masks", "labels", "rois")
_ARRAY = ".npy"

_Files = Mapping[tuple[PurePosixPath, str], PurePosixPath]


def find_beside(members: Sequence[str]) -> list[Entry]:
    """List images with annotations beside them, sorted by name. Empty if there are none, or if there are label folders.

    Parameters
    ----------
    members
        Paths of the files, relative to the source, with ``/`` between folders.

    Examples
    --------
    >>> [(entry.name, entry.annotation) for entry in find_beside(["a.png", "a.geojson"])]
    [('a', 'a.geojson')]
    """
    paths = [path for path in map(PurePosixPath, members) if not is_hidden(path)]
    if any(map(is_label_file, paths)):
        return []
    files = {(path.parent, path.name.lower()): path for path in paths}
    pictures = [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    labels = _label_images(pictures)
    images = [path for path in pictures if path not in labels.values()]
    lonely = Counter(path.parent for path in images)
    found = [(path, _drawings(path, files, alone=lonely[path.parent] == 1), labels.get(path)) for path in images]
    if not any(drawings or label for _, drawings, label in found):
        return []
    names = _names([path for path, _, _ in found])
    entries = [_entry(name, *each) for name, each in zip(names, found, strict=True)]
    return sorted(entries, key=lambda entry: entry.name)


class Drawings:
    """Reads files of annotations. One of several images, such as parts of a slide, is read once.

    Parameters
    ----------
    read
        Returns the bytes of a file.
    entries
        All images.
    """

    def __init__(self, read: Callable[[str], bytes], entries: Sequence[Entry]) -> None:
        uses = Counter(entry.annotation for entry in entries)
        self._read = read
        self._locks = {member: Lock() for member, count in uses.items() if member is not None and count > 1}
        self._known: dict[str, Drawing] = {}

    def read(self, member: str) -> Drawing:
        """Return the objects of a file. It is thread-safe."""
        if member not in self._locks:
            return read_drawing(self._read(member), member)
        with self._locks[member]:
            if member not in self._known:
                self._known[member] = read_drawing(self._read(member), member)
            return self._known[member]


def _entry(name: str, image: PurePosixPath, drawings: Sequence[PurePosixPath], label: PurePosixPath | None) -> Entry:
    if len(drawings) > 1:
        return Entry(name, str(image), problem=f"{drawings[0]} and {drawings[1]} both annotate it: keep one of them")
    if not drawings and label is None:
        problem = (
            f"no annotations beside it, such as {image.stem}.geojson, {image.stem}_rois.zip or {image.stem}_labels.tif"
        )
        return Entry(name, str(image), problem=problem)
    return Entry(
        name,
        str(image),
        label_image=None if label is None else str(label),
        annotation=str(drawings[0]) if drawings else None,
    )


def _label_images(pictures: Iterable[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Return the label image of each image: its name and an ending, or an array of the same name."""
    by_stem: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = {}
    for path in pictures:
        by_stem.setdefault((path.parent, _stem(path)), []).append(path)
    found = {}
    for (folder, stem), paths in by_stem.items():
        images = [path for path in paths if path.suffix.lower() != _ARRAY]
        candidates = [path for path in paths if path.suffix.lower() == _ARRAY] if images else []
        for ending in filter(None, LABEL_ENDINGS):
            candidates += by_stem.get((folder, stem + ending), [])
        readable = [path for path in candidates if path.suffix.lower() in LABEL_SUFFIXES]
        if readable:
            found[(images or paths)[0]] = readable[0]
    return found


def _drawings(image: PurePosixPath, files: _Files, *, alone: bool) -> list[PurePosixPath]:
    folders = [image.parent]
    if image.parent.name.lower() == _IMAGES:
        folders += [image.parent.parent / each for each in _FOLDERS]
    names = dict.fromkeys(each.lower() for each in (_stem(image), image.stem, image.name, without_view(_stem(image))))
    found = dict.fromkeys(
        files[folder, candidate]
        for folder in folders
        for candidate in _candidates(names, alone=alone)
        if (folder, candidate) in files
    )
    return list(found)


def _candidates(names: Iterable[str], *, alone: bool) -> Iterator[str]:
    for form in ANNOTATION_FORMATS:
        for name in names:
            yield from (name + ending + suffix for ending in form.endings for suffix in form.suffixes)
        yield from form.alone if alone else ()


def _stem(path: PurePosixPath) -> str:
    return path.stem.removesuffix(".ome")


def _names(images: Sequence[PurePosixPath]) -> list[str]:
    """Return the names of images without suffix; with their folders or their suffix if names repeat."""
    for name in (_stem, lambda path: str(path.parent / _stem(path))):
        names = [name(path) for path in images]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in images]
