"""Convert the results of a finished run to further formats, in bounded memory."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from nucleus_unet.classifier.classes import ClassKind
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.formats import Add, check_extras, open_table_file
from nucleus_unet.exports.names import (
    ANNOTATED_FORMATS,
    CELL_FORMATS,
    FORMATS,
    TABLE_FORMATS,
    ZARR_VERSIONS,
    check_formats,
    format_of,
    stem,
)
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.exports.ome_zarr import tiff_levels, write_label_zarr
from nucleus_unet.exports.parquet import pyarrow, read_kinds, read_table
from nucleus_unet.io.atomic import check_output_folder, read_json, written_atomically
from nucleus_unet.slides.annotated import write_annotated
from nucleus_unet.slides.plan import PLAN
from nucleus_unet.slides.writers.cells import expansion_of, write_cells
from nucleus_unet.slides.writers.outlines import OutlineWriter
from nucleus_unet.slides.writers.results import LABELS, OVERVIEW, TABLE, count_if_finished

_COPIED = {"tif": LABELS, "parquet": TABLE, "png": OVERVIEW}
"""Formats in which a run leaves its results anyway."""


def export_slide(
    folder: Path | str,
    out: Path | str,
    *,
    formats: Sequence[str],
    name: str | None = None,
    track: Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]] = lambda _: iter,
) -> list[Path]:
    """Write the nuclei of a finished run in further formats.

    Parameters
    ----------
    folder
        Folder of a finished run of `nucleus_unet.Segmenter.predict_slide`.
    out
        Folder for the files. Existing files are replaced.
    formats
        Some of `nucleus_unet.exports.names.FORMATS`. ``geojson`` is not compressed, and many nuclei make several
        files; ``png`` is the overview.
    name
        Name of the image in ``rle``, ``coco``, ``anndata`` and ``spatialdata``; by default the name of the folder.
    track
        Returns, for the name of a step, a function that wraps the step's list to show progress.

    Returns
    -------
    list of Path
        Paths of the written files.

    Raises
    ------
    SettingsError
        If a format is unknown, if the folder is not that of a finished run, or if it has no cells for ``cells`` and
        ``rings``.
    DataError
        If a file of the run is damaged.
    MissingExtraError
        If the ``slides`` extra, or one that a format needs, is not installed.
    """
    folder, out, formats = Path(folder), Path(out), list(formats)
    check_formats(formats)
    check_output_folder(out, "the exported files")
    count, plan = _finished(folder)
    check_extras(formats)
    if set(formats) & set(CELL_FORMATS):
        expansion_of(folder)
    written: list[Path] = []
    name = name or folder.resolve().name
    if tables := [each for each in formats if each in TABLE_FORMATS and each not in _COPIED]:
        groups = _track_nuclei(read_table(folder / TABLE), track("nuclei")(range(count)), folder / TABLE)
        kinds = read_kinds(folder / TABLE)
        written += _write_tables(groups, out, tables, plan, name, kinds)
    for chosen in formats:
        if chosen in ANNOTATED_FORMATS:
            written.append(out / f"nuclei{FORMATS[chosen].suffixes[0]}")
            groups = _track_nuclei(read_table(folder / TABLE), track(chosen)(range(count)), folder / TABLE)
            write_annotated(folder, written[-1], groups, chosen=chosen, mpp=plan["mpp"], name=name)
        if chosen in _COPIED or chosen in (*ZARR_VERSIONS, *CELL_FORMATS):
            written.append(out / f"nuclei{FORMATS[chosen].suffixes[0]}")
            _write_whole(folder, written[-1], chosen, plan, track)
    return written


def save_slide(folder: Path, path: Path) -> Path:
    """Write the nuclei of a finished run to one file, in the format that its suffix means.

    Raises
    ------
    SettingsError
        If no format has this suffix, or the folder is not that of a finished run.
    DataError
        If a file of the run is damaged.
    """
    chosen = format_of(path)
    count, plan = _finished(folder)
    if chosen in _COPIED or chosen in (*ZARR_VERSIONS, *CELL_FORMATS):
        _write_whole(folder, path, chosen, plan, lambda _: iter)
        return path
    groups = _track_nuclei(read_table(folder / TABLE), range(count), folder / TABLE)
    if chosen in ANNOTATED_FORMATS:
        check_extras([chosen])
        write_annotated(folder, path, groups, chosen=chosen, mpp=plan["mpp"], name=stem(path))
        return path
    shape, kinds = (plan["height"], plan["width"]), read_kinds(folder / TABLE)
    with open_table_file(chosen, path, shape=shape, name=stem(path), kinds=kinds) as add:
        for group in groups:
            add(group)
    return path


def _finished(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of nuclei and the plan of a finished run."""
    count = count_if_finished(folder)
    if count is None:
        raise SettingsError(f"{folder}: expected the folder of a finished run; `nucleus-unet slide` makes one")
    pyarrow()
    return count, _read_plan(folder)


def _write_whole(
    folder: Path,
    path: Path,
    chosen: str,
    plan: dict[str, Any],
    track: Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]],
) -> None:
    """Write what is not made nucleus by nucleus: a copy, cells, or the pyramid of labels as OME-Zarr."""
    if chosen in CELL_FORMATS:
        write_cells(folder, path, rings=chosen == "rings", mpp=plan["mpp"], track=track(chosen))
        return
    if chosen in _COPIED:
        with (folder / _COPIED[chosen]).open("rb") as source, written_atomically(path) as target:
            shutil.copyfileobj(source, target)
        return
    version = ZARR_VERSIONS[chosen]
    with tiff_levels(folder / LABELS) as levels:
        write_label_zarr(path, levels, version=version, mpp=plan["mpp"], track=track(f"OME-Zarr {version}"))


def _track_nuclei(tables: Iterable[NucleusTable], steps: Iterable[int], path: Path) -> Iterator[NucleusTable]:
    """Yield the tables and advance ``steps`` by the number of nuclei in each."""
    steps = iter(steps)
    for table in tables:
        yield table
        if len(list(islice(steps, len(table)))) < len(table):
            raise _wrong_count(path)
    if next(steps, None) is not None:
        raise _wrong_count(path)


def _wrong_count(path: Path) -> DataError:
    return DataError(
        f"{path} is damaged: it does not hold as many nuclei as the run found; delete it, then repeat the same run"
    )


def _write_tables(
    groups: Iterable[NucleusTable],
    out: Path,
    formats: Sequence[str],
    plan: dict[str, Any],
    name: str,
    kinds: Sequence[ClassKind],
) -> list[Path]:
    """Write the formats that are made nucleus by nucleus, all in one pass."""
    written: list[Path] = []
    adders: list[Add] = []
    outlines = None
    with ExitStack() as stack:
        for chosen in formats:
            if chosen == "geojson":
                outlines = stack.enter_context(OutlineWriter(out, compressed=False))
                adders.append(outlines.add)
            else:
                written.append(out / f"nuclei{FORMATS[chosen].suffixes[0]}")
                shape = plan["height"], plan["width"]
                file = open_table_file(chosen, written[-1], shape=shape, name=name, kinds=kinds)
                adders.append(stack.enter_context(file))
        for group in groups:
            for add in adders:
                add(group)
    return (outlines.paths if outlines is not None else []) + written


def _read_plan(folder: Path) -> dict[str, Any]:
    path = folder / PLAN
    try:
        plan = read_json(path)
        height, width, mpp = (plan[key] for key in ("height", "width", "mpp"))
        valid_size = all(type(side) is int and 0 < side < 2**31 for side in (height, width))
        if not valid_size or not (mpp is None or (type(mpp) in (int, float) and 0 < mpp < math.inf)):
            raise ValueError(f"got {height!r}, {width!r} and {mpp!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged: expected a slide's height, width and mpp ({error})") from error
    return {"height": height, "width": width, "mpp": mpp}
