"""What there is to look at in a folder of results: of `predict` of one or many images, of a stack, of slides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nucleus_unet.batch.record import RUN_FOLDER, RunRecord
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.names import FORMATS, ZARR_VERSIONS
from nucleus_unet.io.atomic import read_json
from nucleus_unet.io.selection import Place, Selection
from nucleus_unet.slides.plan import PLAN, SURVEY
from nucleus_unet.slides.source import SlideSource
from nucleus_unet.slides.writers.results import LABELS, OVERVIEW, SUMMARY, TABLE, count_if_finished
from nucleus_unet.stacks.record import RECORD as STACK_RECORD
from nucleus_unet.stacks.record import StackRecord

_EXPECTED = "expected the folder that `nucleus-unet predict` or `nucleus-unet slide` wrote with --out"
# Tables, from the quickest to read.
_TABLES = ("parquet", "csv", "geojson")
_LABELS = ("tif", *ZARR_VERSIONS)


@dataclass(frozen=True)
class LabelFile:
    """A label image, or one of a stack; ``frame`` and ``plane`` are numbers in the file."""

    path: Path
    frame: int | None = None
    plane: int | None = None


@dataclass(frozen=True)
class TableFile:
    """A table of nuclei: its format, and what the first columns of the rows of an image of a stack say."""

    path: Path
    file_format: str
    where: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The results of one image, or of one plane of a stack.

    Attributes
    ----------
    name
        For the list.
    nuclei
        Their number; None if there are no results.
    problem
        Why there are no results; empty if there are.
    image
        Where the image was; None if nothing tells.
    selection, place, axes, channel_axis
        The plane that was segmented. Without a place it is the only one of the selection.
    mpp
        Pixel size in micrometres that the run was told; None if that of the file holds.
    labels, cells, table
        Files; None if there is none.
    slide
        Folder of a slide's results, which has a thumbnail and tells how far cells reach.
    """

    name: str
    nuclei: int | None
    problem: str = ""
    image: Path | None = None
    selection: Selection = field(default_factory=Selection)
    place: Place | None = None
    axes: str | None = None
    channel_axis: int | None = None
    mpp: float | None = None
    labels: LabelFile | None = None
    cells: LabelFile | None = None
    table: TableFile | None = None
    slide: Path | None = None


def find_results(folder: Path, *, image: Path | None = None) -> list[Result]:
    """Return the results in a folder.

    Parameters
    ----------
    folder
        What ``--out`` named.
    image
        Where the image is now, if it was moved; or the folder in which the images are, under their names.

    Raises
    ------
    SettingsError
        If the folder holds no results, or those of a run that is not finished; if several images are given one file.
    DataError
        If what tells of them is damaged.
    """
    if not folder.exists():
        raise SettingsError(f"{folder}: there is no such folder; {_EXPECTED}")
    if not folder.is_dir():
        raise SettingsError(f"{folder}: got a file; {_EXPECTED}")
    found = list(_find(folder))
    if image is None:
        return found
    if not image.exists():
        raise SettingsError(f"image: there is no {image}")
    if image.is_dir() and not (image / ".zattrs").exists() and not (image / "zarr.json").exists():
        return _moved(found, image)
    if len({each.image for each in found}) > 1:
        raise SettingsError(f"image: {folder} holds the results of several images: give the folder in which they are")
    return [replace(each, image=image) for each in found]


def _moved(found: Sequence[Result], folder: Path) -> list[Result]:
    """Return results whose images lie in another folder, in the same folders below it if there are any."""
    images = [each.image for each in found if each.image is not None]
    above = images[0].parents if images else ()
    common = next((each for each in above if all(image.is_relative_to(each) for image in images)), Path())

    def place(image: Path) -> Path:
        below = folder / image.relative_to(common) if image.is_relative_to(common) else folder / image.name
        return below if below.exists() else folder / image.name

    return [replace(each, image=place(each.image)) if each.image is not None else each for each in found]


def _find(folder: Path) -> Iterator[Result]:
    if (folder / PLAN).exists() or (folder / SUMMARY).exists():
        yield _slide(folder)
    elif (folder / STACK_RECORD).exists():
        yield from _stack(folder)
    elif (folder / RUN_FOLDER).is_dir():
        yield from _batch(folder)
    else:
        raise SettingsError(f"{folder} holds no results of nucleus-unet; {_EXPECTED}")


def _slide(folder: Path) -> Result:
    count = count_if_finished(folder)
    if count is None:
        raise SettingsError(
            f"{folder}: the results of this slide are not complete: repeat the same `nucleus-unet slide` command"
        )
    try:
        plan = read_json(folder / PLAN)
        mpp = None if plan["mpp"] is None else float(plan["mpp"])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise DataError(f"{folder / PLAN} is damaged ({error}): repeat the run with another --out") from error
    source = SlideSource.read(folder)
    return Result(
        name=folder.resolve().name,
        nuclei=count,
        image=None if source is None else Path(source.image),
        selection=Selection() if source is None else source.selection,
        axes=None if source is None else source.axes,
        channel_axis=None if source is None else source.channel_axis,
        mpp=mpp,
        labels=LabelFile(folder / LABELS),
        table=TableFile(folder / TABLE, "parquet"),
        slide=folder,
    )


def _stack(folder: Path) -> Iterator[Result]:
    record = StackRecord.read(folder)
    assert record is not None  # the file is there
    result = record.result(folder)
    try:
        selection = Selection(**record.selection)
        settings = record.settings
        columns = _stack_columns(folder, record)
        frames: dict[int, dict[int, None]] = {}
        planes: dict[int, dict[int | None, None]] = {}
        for each in result.planes:
            frames.setdefault(each.place.scene, {})[each.place.frame] = None
            planes.setdefault(each.place.scene, {})[each.place.plane] = None
        label_files = _stack_labels(record, [*frames])
    except (TypeError, LookupError, ValueError) as error:
        raise DataError(f"{folder / STACK_RECORD} is damaged ({error}): repeat the run with --overwrite") from error
    for each in result.planes:
        place = each.place
        where: dict[str, str | int | None] = {"scene": place.scene_name, "frame": place.frame, "plane": place.plane}
        labels = label_files.get(place.scene)
        yield Result(
            name=_plane_name(place, several_scenes=len(frames) > 1),
            nuclei=each.nuclei,
            image=None if record.image is None else Path(record.image),
            selection=selection,
            place=place,
            axes=settings.get("axes"),
            channel_axis=settings.get("channel_axis"),
            mpp=settings.get("mpp"),
            labels=None
            if labels is None
            else LabelFile(
                folder / labels, [*frames[place.scene]].index(place.frame), [*planes[place.scene]].index(place.plane)
            ),
            table=None if columns is None else TableFile(columns[0], columns[1], where),
        )


def _stack_columns(folder: Path, record: StackRecord) -> tuple[Path, str] | None:
    """Return the table of all planes and its format."""
    for file_format in ("parquet", "csv"):
        if f"nuclei.{file_format}" in record.files:
            return folder / f"nuclei.{file_format}", file_format
    return None


def _stack_labels(record: StackRecord, scenes: list[int]) -> dict[int, str]:
    """Return the label images of each scene: they are listed in the order of scenes."""
    files = [name for name in record.files if name.endswith(".ome.tif")]
    return dict(zip(scenes, files, strict=True)) if files else {}


def _plane_name(place: Place, *, several_scenes: bool) -> str:
    parts = [f"scene {place.scene_name}"] if several_scenes else []
    return ", ".join([*parts, f"time {place.frame}", *([] if place.plane is None else [f"plane {place.plane}"])])


def _batch(folder: Path) -> Iterator[Result]:
    record = RunRecord.read(folder)
    if record.settings is None or not record.planned:
        raise SettingsError(f"{folder}: no image is finished yet: run the same `nucleus-unet predict` command again")
    if "command" in record.settings:  # each image has a folder
        for name, planned in record.planned.items():
            yield from _of_folder(folder / name, name, Path(planned.source))
        return
    settings = record.settings
    known = {name: settings[name] for name in ("scene", "time", "z", "channel", "combine") if name in settings}
    try:
        selection = Selection(**known)
    except TypeError as error:
        raise DataError(f"{folder / RUN_FOLDER} is damaged ({error}): begin anew with --overwrite") from error
    for name, planned in record.planned.items():
        image, done = Path(planned.source), record.done.get(name)
        if done is None:
            yield Result(name=name, nuclei=None, problem="it is not segmented; summary.csv tells why", image=image)
            continue
        files = {each: folder / f"{name}{FORMATS[each].suffixes[0]}" for each in done.formats if each in FORMATS}
        labels, cells = (
            next((files[each] for each in kinds if each in files), None) for kinds in (_LABELS, ("cells",))
        )
        table = next(((files[each], each) for each in _TABLES if each in files), None)
        yield Result(
            name=name,
            nuclei=done.nuclei,
            image=image,
            selection=selection,
            axes=settings.get("axes"),
            channel_axis=settings.get("channel_axis"),
            mpp=settings.get("mpp"),
            labels=None if labels is None else LabelFile(labels),
            cells=None if cells is None else LabelFile(cells),
            table=None if table is None else TableFile(*table),
        )


def _of_folder(folder: Path, name: str, image: Path) -> Iterator[Result]:
    """Yield the results in the folder of one of many slides or stacks; a problem if there are none."""
    try:
        found = list(_find(folder))
    except (SettingsError, DataError) as error:
        yield Result(name=name, nuclei=None, problem=str(error), image=image)
        return
    for each in found:
        shown = name if each.slide is not None else f"{name}, {each.name}"
        yield replace(each, name=shown, image=each.image or image)


def thumbnail_files(slide: Path) -> tuple[Path, Path]:
    """Return where a slide's results have the thumbnail alone, if it is kept, and the overview."""
    return slide / SURVEY, slide / OVERVIEW


def as_json(number: int, result: Result) -> dict[str, Any]:
    """Return the row of a result in the list, as plain JSON types."""
    return {"number": number, "name": result.name, "nuclei": result.nuclei, "problem": result.problem}
