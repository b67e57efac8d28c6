"""Sources of labelled sets: folders and zip archives, and the supported layouts of their files.

A source lists its files and reads their bytes. A zip archive is never unpacked. `nucleus_unet.data.dataset` decodes
the bytes.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import BinaryIO, Protocol

from nucleus_unet.data.label_images import LABEL_SUFFIXES, LOSSY_SUFFIXES
from nucleus_unet.errors import DataError
from nucleus_unet.io.folders import clutter, walk
from nucleus_unet.io.formats import FORMATS
from nucleus_unet.io.paths import check_path

LAYOUTS = """\
  <id>/images/<id>.png with <id>/masks/*.png, one mask per nucleus (Kaggle's layout); or masks/<id>/*.png
  images/NAME.tif with masks/NAME.tif, label images (.tif, .tiff, .png, .bmp or .npy; images may be JPEG and others)
  <id>/images/<id>.png with the masks as run-length encoding in a CSV table (from Python: labels_csv=)
  images in any folder with one COCO annotation file (.json): polygons or run-length encodings
  images in any folder, each with a file beside it: NAME.geojson of QuPath, NAME_rois.zip of ImageJ, or a label image
    NAME_labels.tif or NAME.npy"""

# Images are read from memory, because they may lie in an archive.
IMAGE_SUFFIXES = tuple(suffix for each in FORMATS if each.in_memory for suffix in each.suffixes)
"""Suffixes of images."""
# Folders of images and of labels.
_IMAGES, _MASKS = ("images",), ("masks", "labels")
LABEL_ENDINGS = ("", "_cp_masks", "_masks", "_mask", "_labels", "_label", "_seg")
"""What programs append to the name of an image to name its label image."""
_DEEPEST = 4  # folder/<id>/images/<id>.png


@dataclass(frozen=True)
class Entry:
    """The files of one image of a source.

    Attributes
    ----------
    name
        Name of the image.
    image
        Path of the image in the source.
    masks
        Paths of the masks, one for each nucleus, sorted by name.
    label_image
        Path of the label image, if the source has label images instead of masks.
    annotation
        Path of the file of drawn annotations, if the source has one. With a label image too, it holds regions only.
    problem
        Why the image cannot be used. None if it can.
    """

    name: str
    image: str = ""
    masks: tuple[str, ...] = ()
    label_image: str | None = None
    annotation: str | None = None
    problem: str | None = None


@dataclass
class _Group:
    """An `images` folder and the `masks` folder next to it, and their files that are not read."""

    images: list[PurePosixPath] = field(default_factory=list)
    masks: list[PurePosixPath] = field(default_factory=list)
    unread: list[PurePosixPath] = field(default_factory=list)

    def paired(self) -> bool:
        labels = _by_name(self.masks)
        return any(_labels_of(name, labels) for name in _by_name(self.images))


class Source(Protocol):
    """A set of named files. `read` and `open`, which an image reader takes, are thread-safe."""

    name: str

    def members(self) -> list[str]: ...  # noqa: D102

    def read(self, member: str) -> bytes: ...  # noqa: D102

    def open(self, member: str) -> Path | BinaryIO: ...  # noqa: D102


class _FolderSource:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = folder.resolve().name

    def members(self) -> list[str]:
        files = walk(self._folder, depth=_DEEPEST - 1, again=True).paths
        return [file.relative_to(self._folder).as_posix() for file in files]

    def read(self, member: str) -> bytes:
        return (self._folder / member).read_bytes()

    def open(self, member: str) -> Path:
        return self._folder / member


class _ZipSource:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.name = path.stem
        self._path, self._zip, self._lock = path, archive, Lock()

    def members(self) -> list[str]:
        return [info.filename for info in self._zip.infolist() if not info.is_dir()]

    def open(self, member: str) -> BinaryIO:
        content = io.BytesIO(self.read(member))
        content.name = member
        return content

    def read(self, member: str) -> bytes:
        try:
            # All threads share one archive: parsing its directory of 27,000 masks again would take longer.
            with self._lock:
                return self._zip.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DataError(f"{self._path} is damaged at {member}: {error}; download or copy it again") from error
        except (NotImplementedError, RuntimeError) as error:
            raise DataError(f"{self._path}: {member} cannot be read: {error}; unpack it and use the folder") from error


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a folder or a zip archive.

    Raises
    ------
    FileNotFoundError
        `path` does not exist.
    DataError
        `path` is neither a folder nor a zip archive.
    SettingsError
        `path` is no path.
    """
    path = check_path(path, "data")
    if path.is_dir():
        yield _FolderSource(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is neither a folder nor a readable zip archive: {error}") from error
    with archive:
        yield _ZipSource(path, archive)


def find_entries(members: Sequence[str], *, need_masks: bool = True) -> list[Entry]:
    """Recognise the layout of a set from its file names, and list its images, sorted by name.

    Parameters
    ----------
    members
        Paths of the files, relative to the source, with `/` between folders.
    need_masks
        False if the masks are not files of the source. An image without mask files can then be used.

    Returns
    -------
    list of Entry
        The images and their masks.

    Raises
    ------
    DataError
        The layout is not supported, or there are several sets.
    """
    groups = _groups(members)
    if not any(group.images for group in groups.values()):
        raise DataError(f"no labelled set found. The supported layouts are:\n{LAYOUTS}\n{_found(members)}")
    if _is_kaggle(groups):
        _refuse_several({parent.parent for parent in groups})
        entries = [_kaggle_entry(parent, group) for parent, group in groups.items()]
    else:
        _refuse_several(set(groups))
        entries = [entry for group in groups.values() for entry in _label_image_entries(group)]
    if not need_masks:
        entries = [replace(entry, problem=None) if entry.image else entry for entry in entries]
    return sorted(entries, key=lambda entry: entry.name)


def is_label_file(path: PurePosixPath) -> bool:
    """Return whether a file lies in a folder of masks or label images and has the suffix of one."""
    return path.suffix.lower() in LABEL_SUFFIXES and any(part.lower() in _MASKS for part in path.parts[:-1])


def _groups(members: Sequence[str]) -> dict[PurePosixPath, _Group]:
    groups: dict[PurePosixPath, _Group] = {}
    unread = []
    for path in map(PurePosixPath, members):
        # A folder of masks may hold a folder for each image, with one file for each nucleus.
        is_nested = path.parent.parent.name.lower() in _MASKS
        folder = path.parent.parent if is_nested else path.parent
        kind = folder.name.lower()
        if is_hidden(path) or len(path.parts) > _DEEPEST or kind not in (*_IMAGES, *_MASKS):
            continue
        if path.suffix.lower() not in (IMAGE_SUFFIXES if kind in _IMAGES else LABEL_SUFFIXES):
            unread.append((folder.parent, path))
            continue
        group = groups.setdefault(folder.parent, _Group())
        (group.images if kind in _IMAGES else group.masks).append(path)
    for parent, path in unread:
        if parent in groups:
            groups[parent].unread.append(path)
    return groups


def is_hidden(path: PurePosixPath) -> bool:
    """Return whether a file is hidden or was written by an operating system."""
    return any(clutter(part) for part in path.parts)


def _is_kaggle(groups: dict[PurePosixPath, _Group]) -> bool:
    if any(parent.name == image.stem for parent, group in groups.items() for image in group.images):
        return True
    lone = all(parent.name and len(group.images) == 1 for parent, group in groups.items())
    return lone and not any(group.paired() for group in groups.values())


def _kaggle_entry(parent: PurePosixPath, group: _Group) -> Entry:
    if len(group.images) != 1:
        return Entry(parent.name, problem=f"expected one image in {parent}/images, found {len(group.images)}")
    image = str(group.images[0])
    if not group.masks:
        problem = f"no masks in {parent}/masks (an image without nuclei needs one all-black mask)"
        return Entry(parent.name, image, problem=problem)
    return Entry(parent.name, image, masks=tuple(sorted(str(path) for path in group.masks)))


def _label_image_entries(group: _Group) -> list[Entry]:
    images, labels, unread = _by_name(group.images), _by_name(group.masks), _by_name(group.unread)
    entries = []
    for name, paths in images.items():
        found = _labels_of(name, labels)
        for path in found:
            labels.pop(_name(path), None)
        entries.append(_entry(name, paths, found, unread.get(name, [])))
    for name, paths in labels.items():
        entries.append(Entry(name, problem=f"{paths[0]} has no image{_not_read(unread.get(name, []))}"))
    return entries


def _entry(
    name: str, images: Sequence[PurePosixPath], labels: Sequence[PurePosixPath], unread: Sequence[PurePosixPath]
) -> Entry:
    image = str(images[0])
    for paths in (images, [] if _is_nested(labels) else labels):
        if len(paths) > 1:
            problem = f"{paths[0]} and {paths[1]} have the same name: delete or rename one of them"
            return Entry(name, "" if paths is images else image, problem=problem)
    if not labels:
        suffixes = f"{', '.join(LABEL_SUFFIXES[:-1])} or {LABEL_SUFFIXES[-1]}"
        return Entry(name, image, problem=f"no label image masks/{name} with {suffixes}{_not_read(unread)}")
    if _is_nested(labels):
        return Entry(name, image, masks=tuple(sorted(map(str, labels))))
    return Entry(name, image, label_image=str(labels[0]))


def _labels_of(name: str, labels: Mapping[str, list[PurePosixPath]]) -> list[PurePosixPath]:
    """Return the files of an image's labels: those of its name, or of its name and what programs append to it."""
    return next((labels[name + ending] for ending in LABEL_ENDINGS if name + ending in labels), [])


def _not_read(paths: Sequence[PurePosixPath]) -> str:
    if not paths:
        return ""
    path = paths[0]
    if path.suffix.lower() in LOSSY_SUFFIXES:
        return f"; {path} is not read, because its compression changes labels: save it as PNG or TIFF"
    kinds = IMAGE_SUFFIXES if path.parent.name.lower() in _IMAGES else LABEL_SUFFIXES
    return f"; {path} is not read, only {', '.join(kinds)} are"


def _by_name(paths: Sequence[PurePosixPath]) -> dict[str, list[PurePosixPath]]:
    names: dict[str, list[PurePosixPath]] = {}
    for path in paths:
        names.setdefault(_name(path), []).append(path)
    return names


def _is_nested(paths: Sequence[PurePosixPath]) -> bool:
    return any(path.parent.name.lower() not in _MASKS for path in paths)


def _name(path: PurePosixPath) -> str:
    """Return the name of the image that a file in a folder of images or labels is of."""
    if path.parent.name.lower() not in (*_IMAGES, *_MASKS):
        return path.parent.name  # a folder for each image
    return path.stem.removesuffix(".ome")


def _refuse_several(roots: set[PurePosixPath]) -> None:
    if len(roots) > 1:
        names = ", ".join(sorted(str(root) for root in roots)[:5])
        raise DataError(f"expected one set, found {len(roots)} ({names}): unpack them and use the folder of one set")


def _found(members: Sequence[str]) -> str:
    if not members:
        return "found: nothing"
    return f"found {len(members)} files, such as {', '.join(sorted(members)[:3])}"
