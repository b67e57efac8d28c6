"""Further formats of a finished slide, made from what its run left, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.coco import CocoWriter
from nucleus_unet.exports.geojson import Polygons, decode_outlines
from nucleus_unet.exports.ome_zarr import require_zarr, write_label_zarr
from nucleus_unet.exports.rle import RleCsvWriter
from nucleus_unet.io.atomic import check_output_folder, read_json, written_atomically
from nucleus_unet.slides.nucleus_table import Nucleus, NucleusTable
from nucleus_unet.slides.plan import PLAN
from nucleus_unet.slides.writers.outlines import OutlineWriter
from nucleus_unet.slides.writers.results import LABELS, TABLE, count_if_finished
from nucleus_unet.slides.writers.table import pyarrow, read_table

FORMATS = {
    "geojson": "nuclei.geojson",
    "rle": "nuclei.rle.csv",
    "coco": "nuclei.coco.json",
    "omezarr": "nuclei.ome.zarr",
    "omezarr0.4": "nuclei-0.4.ome.zarr",
}
"""What each format is called; of outlines there may be several files."""

_VERSIONS = {"omezarr": "0.5", "omezarr0.4": "0.4"}


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
        Of the results of `nucleus_unet.Segmenter.predict_slide`.
    out
        Folder for the files; they are replaced if they exist.
    formats
        Some of `FORMATS`: ``geojson``, detections as QuPath reads them, not compressed; ``rle``, the CSV of the 2018
        Data Science Bowl; ``coco``, polygons as COCO has them; ``omezarr``, the label pyramid as OME-Zarr 0.5, and
        ``omezarr0.4``.
    name
        What to call the image in ``rle`` and ``coco``; by default the folder's name.
    track
        Of a step's name makes what wraps the step's list, to show progress.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    SettingsError
        If a format is unknown, or the folder is not that of a finished run.
    DataError
        If a file of the run is damaged.
    MissingExtraError
        If the ``slides`` extra, or for OME-Zarr the ``zarr`` extra, is not installed.
    """
    folder, out = Path(folder), Path(out)
    _check_formats(formats)
    check_output_folder(out, "the exported files")
    count = count_if_finished(folder)
    if count is None:
        raise SettingsError(f"{folder}: expected the folder of a finished run; `nucleus-unet slide` makes one")
    plan = _read_plan(folder)
    pyarrow()
    if set(formats) & set(_VERSIONS):
        require_zarr()
    written: list[Path] = []
    if set(formats) - set(_VERSIONS):
        groups = _counted(read_table(folder / TABLE), track("nuclei")(range(count)), folder / TABLE)
        written += _write_nuclei(groups, out, formats, plan, name or folder.resolve().name)
    for chosen, version in _VERSIONS.items():
        if chosen in formats:
            written.append(out / FORMATS[chosen])
            steps = track(f"OME-Zarr {version}")
            write_label_zarr(written[-1], folder / LABELS, version=version, mpp=plan["mpp"], track=steps)
    return written


def _counted(groups: Iterable[NucleusTable], steps: Iterable[int], table: Path) -> Iterator[NucleusTable]:
    """Yield the groups, taking a step for each nucleus."""
    steps = iter(steps)
    for group in groups:
        yield group
        if len(list(islice(steps, len(group)))) < len(group):
            raise _other_count(table)
    if next(steps, None) is not None:
        raise _other_count(table)


def _other_count(table: Path) -> DataError:
    return DataError(
        f"{table} is damaged: it does not hold as many nuclei as the run found; delete it, and the "
        "same run, from its beginning, makes it anew"
    )


def _check_formats(formats: Sequence[str]) -> None:
    """Raise `SettingsError` unless all are known, and there is one."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise SettingsError(f"format: expected some of {', '.join(FORMATS)}, got {', '.join(formats) or 'none'}")


def _write_nuclei(
    groups: Iterable[NucleusTable], out: Path, formats: Sequence[str], plan: dict[str, Any], name: str
) -> list[Path]:
    """Write the formats that are made of outlines, all from one pass."""
    written: list[Path] = []
    adders: list[Callable[[Nucleus, Polygons], None]] = []
    outlines = None
    with ExitStack() as stack:

        def opened(chosen: str) -> BinaryIO:
            written.append(out / FORMATS[chosen])
            return stack.enter_context(written_atomically(written[-1]))

        if "geojson" in formats:
            outlines = stack.enter_context(OutlineWriter(out, compressed=False))
        if "rle" in formats:
            rle = stack.enter_context(RleCsvWriter(opened("rle"), height=plan["height"], image_id=name))
            adders.append(lambda _, polygons: rle.add(polygons))
        if "coco" in formats:
            shape = plan["height"], plan["width"]
            coco = stack.enter_context(CocoWriter(opened("coco"), shape=shape, name=name))
            adders.append(
                lambda nucleus, polygons: coco.add(
                    polygons,
                    area=nucleus.area,
                    box=(nucleus.top, nucleus.left, nucleus.bottom, nucleus.right),
                    probability=nucleus.probability,
                )
            )
        for group in groups:
            if outlines is not None:
                outlines.add(group)
            if adders:
                for nucleus, polygons in zip(group.nuclei(), decode_outlines(group.outline), strict=True):
                    for add in adders:
                        add(nucleus, polygons)
    return (outlines.paths if outlines is not None else []) + written


def _read_plan(folder: Path) -> dict[str, Any]:
    path = folder / PLAN
    try:
        plan = read_json(path)
        height, width, mpp = (plan[key] for key in ("height", "width", "mpp"))
        sized = all(type(side) is int and 0 < side < 2**31 for side in (height, width))
        if not sized or not (mpp is None or (type(mpp) in (int, float) and 0 < mpp < math.inf)):
            raise ValueError(f"got {height!r}, {width!r} and {mpp!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged: expected a slide's height, width and mpp ({error})") from error
    return {"height": height, "width": width, "mpp": mpp}
