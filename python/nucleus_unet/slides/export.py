"""Convert the results of a finished run to further formats, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.coco import CocoWriter
from nucleus_unet.exports.ome_zarr import require_zarr, write_label_zarr
from nucleus_unet.exports.rle import RleCsvWriter
from nucleus_unet.exports.wkb import decode_wkb
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
"""File name of each format. Large GeoJSON results continue in further files."""

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
        Folder of a finished run of `nucleus_unet.Segmenter.predict_slide`.
    out
        Folder for the files. Existing files are replaced.
    formats
        Names from `FORMATS`. ``geojson``: uncompressed detections for QuPath. ``rle``: the CSV of the 2018 Data Science
        Bowl. ``coco``: COCO polygons. ``omezarr`` and ``omezarr0.4``: the label pyramid as OME-Zarr 0.5 and 0.4.
    name
        Name of the image in ``rle`` and ``coco``. Default: the name of the folder.
    track
        Returns, for the name of a step, a function that wraps the step's list to show progress.

    Returns
    -------
    list of Path
        Paths of the written files.

    Raises
    ------
    SettingsError
        If a format is unknown, or if the folder is not that of a finished run.
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
        tables = _track_nuclei(read_table(folder / TABLE), track("nuclei")(range(count)), folder / TABLE)
        written += _write_nuclei(tables, out, formats, plan, name or folder.resolve().name)
    for format_name, version in _VERSIONS.items():
        if format_name in formats:
            written.append(out / FORMATS[format_name])
            steps = track(f"OME-Zarr {version}")
            write_label_zarr(written[-1], folder / LABELS, version=version, mpp=plan["mpp"], track=steps)
    return written


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


def _check_formats(formats: Sequence[str]) -> None:
    """Raise `SettingsError` if a format is unknown or if no format is given."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise SettingsError(f"format: expected some of {', '.join(FORMATS)}, got {', '.join(formats) or 'none'}")


def _write_nuclei(
    tables: Iterable[NucleusTable], out: Path, formats: Sequence[str], plan: dict[str, Any], name: str
) -> list[Path]:
    """Write the formats that consist of outlines, in one pass over the nuclei."""
    written: list[Path] = []
    adders: list[Callable[[Nucleus], None]] = []
    outlines = None
    with ExitStack() as stack:

        def open_output(format_name: str) -> BinaryIO:
            written.append(out / FORMATS[format_name])
            return stack.enter_context(written_atomically(written[-1]))

        if "geojson" in formats:
            outlines = stack.enter_context(OutlineWriter(out, compressed=False))
        if "rle" in formats:
            rle = stack.enter_context(RleCsvWriter(open_output("rle"), height=plan["height"], image_id=name))
            adders.append(lambda nucleus: rle.add(decode_wkb(nucleus.outline)))
        if "coco" in formats:
            shape = plan["height"], plan["width"]
            coco = stack.enter_context(CocoWriter(open_output("coco"), shape=shape, name=name))
            adders.append(
                lambda nucleus: coco.add(
                    decode_wkb(nucleus.outline),
                    area=nucleus.area,
                    box=(nucleus.top, nucleus.left, nucleus.bottom, nucleus.right),
                    probability=nucleus.probability,
                )
            )
        for table in tables:
            if outlines is not None:
                outlines.add(table)
            for nucleus in table.nuclei() if adders else ():
                for add in adders:
                    add(nucleus)
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
