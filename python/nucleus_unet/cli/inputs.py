"""Many images after one command: which they are, where their results go, and what of them went wrong."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path

import typer

from nucleus_unet.cli.shared import console
from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.io.file_facts import is_image


def each_in_turn(pictures: Iterable[tuple[Path, Path]], find: Callable[[Path, Path], int]) -> tuple[int, list[str]]:
    """Go through images, past those that are bad.

    Parameters
    ----------
    pictures
        From `with_targets`.
    find
        Gets an image and its target, and returns how many nuclei it found.

    Returns
    -------
    tuple of int and list of str
        All nuclei, and what went wrong.
    """
    nuclei, failures = 0, []
    for path, target in pictures:
        try:
            nuclei += find(path, target)
        except (NucleusError, OSError, MemoryError) as error:
            failures.append(str(error) if str(path) in str(error) else f"{path}: {error}")
            console.print(failures[-1], style="red", highlight=False)
    return nuclei, failures


def end_with(failures: list[str]) -> None:
    """List what went wrong once more, where it is seen, and end with exit code 1; or do nothing if nothing did."""
    if failures:
        typer.echo(f"{len(failures)} could not be segmented:", err=True)
        for failure in failures:
            typer.echo(f"  {failure}", err=True)
        raise typer.Exit(1)


def expand(arguments: Iterable[str], wanted: Callable[[Path], bool] = is_image) -> Iterator[tuple[Path, Path]]:
    """Yield each image with the name its results go under, relative to the output folder.

    Parameters
    ----------
    arguments
        Paths, folders to be searched, and patterns.
    wanted
        Tells which paths are images; a folder that is one is not searched.
    """
    for argument in arguments:
        if not argument:
            raise SettingsError("expected the path of an image or folder, got an empty one")
        path = Path(argument)
        if path.is_dir() and not wanted(path):
            yield from ((each, each.relative_to(path)) for each in _search(path, wanted))
        elif path.exists() or not glob.has_magic(argument):
            yield path, Path(path.resolve().name if path.name in ("", "..") else path.name)
        else:
            # Path.glob has no absolute form.
            matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207
            files = [match for match in matches if match.is_file() or wanted(match)]
            if not files:
                raise SettingsError(f"no file matches {argument}")
            yield from ((file, Path(file.name)) for file in files)


def _search(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield the images in a folder in order, and nothing that lies in one of them."""
    within: Path | None = None
    for path in sorted(folder.rglob("*")):
        if (within is None or within not in path.parents) and wanted(path):
            within = path if path.is_dir() else within
            yield path


def with_targets(
    images: Iterable[tuple[Path, Path]], out: Path, *, suffixes: Sequence[str] = ("",)
) -> Iterator[tuple[Path, Path]]:
    """Choose output names: the stem, unless that is taken; then the whole name, then a number.

    A name is taken if another image has it, or if a result of that name would be a folder of other results. A file that
    was named twice is one image.

    Parameters
    ----------
    images
        From `expand`.
    out
        Folder for the results.
    suffixes
        What is appended to an image's output name to make the names of its results.
    """
    named: dict[Path, tuple[Path, Path]] = {}
    for path, relative in images:
        named.setdefault(path.resolve(), (path, relative))
    folders = {folder for _, relative in named.values() for folder in relative.parents}
    taken: set[Path] = set()  # names of result files

    def files(name: Path) -> set[Path]:
        return {name.with_name(name.name + suffix) for suffix in suffixes}

    for path, relative in named.values():
        numbered = (relative.with_name(f"{relative.name}-{number}") for number in count(2))
        target = next(
            name
            for name in chain((relative.with_suffix(""), relative), numbered)
            if taken.isdisjoint(files(name)) and folders.isdisjoint(files(name))
        )
        taken |= files(target)
        yield path, out / target
