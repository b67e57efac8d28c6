"""Write the results of a run: table, label image, outlines, overview. Equal plans give equal files, to the byte.

`nucleus_unet.slides.export` converts the results to further formats.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.geojson import NAMESPACE
from nucleus_unet.exports.parquet import TableWriter, pyarrow
from nucleus_unet.io.atomic import read_json, write_atomically, written_atomically
from nucleus_unet.slides.plan import SlidePlan
from nucleus_unet.slides.relabel import RowBand
from nucleus_unet.slides.writers.labels import write_labels
from nucleus_unet.slides.writers.outlines import OutlineWriter
from nucleus_unet.slides.writers.overview import Overview, check_pillow

logger = logging.getLogger(__name__)

TABLE, LABELS, OUTLINES, OVERVIEW = "nuclei.parquet", "labels.tif", "nuclei.geojson.gz", "overview.png"
# Files that no later command writes again. Their sizes are in the summary.
_FINAL = LABELS, OVERVIEW
# Written last. Its presence means that the run is finished.
SUMMARY = "summary.json"


class ResultSummary(NamedTuple):
    """Number of nuclei, and names of the result files."""

    nuclei: int
    files: list[str]


def check_extras() -> None:
    """Raise `MissingExtraError` before a long run if a package that writes results is not installed."""
    pyarrow()
    check_pillow()


def write_results(
    folder: Path,
    bands: Iterable[RowBand],
    plan: SlidePlan,
    *,
    thumbnail: NDArray[np.uint8],
    scratch: Path,
) -> ResultSummary:
    """Write all result files in one pass over the nuclei.

    Parameters
    ----------
    folder
        Receives `TABLE`, `LABELS`, `OUTLINES` (several files for many nuclei) and `OVERVIEW`.
    bands
        Bands of `nucleus_unet.slides.writers.labels.TILE_SIDE` rows from `nucleus_unet.slides.relabel.iter_bands`.
    plan
        The plan of the run.
    thumbnail
        Thumbnail of the slide.
    scratch
        Folder for temporary files.
    """
    shape = (plan.height, plan.width)
    overview = Overview(thumbnail, shape, mpp=plan.mpp)
    with ExitStack() as stack:
        labels_file, table_file = (stack.enter_context(written_atomically(folder / name)) for name in (LABELS, TABLE))
        table = stack.enter_context(TableWriter(table_file))
        outlines = stack.enter_context(OutlineWriter(folder, compressed=True))
        # The table is completed and the overview is drawn while the last labels are written.
        background = stack.enter_context(ThreadPoolExecutor(2))
        completed: Future[None]
        picture: Future[bytes]

        def forward_bands() -> Iterator[RowBand]:
            nonlocal completed, picture
            for band in bands:
                for observer in (table, outlines, overview):
                    observer.add(band.nuclei)
                if band.rows.stop == plan.height:
                    completed, picture = background.submit(table.finish), background.submit(overview.png)
                yield band

        identity = uuid.uuid5(NAMESPACE, json.dumps(plan.to_json(), sort_keys=True))
        write_labels(labels_file, forward_bands(), shape, mpp=plan.mpp, uuid=str(identity), scratch=scratch)
        completed.result()
        png = picture.result()
    write_atomically(folder / OVERVIEW, png)
    return ResultSummary(overview.count, [TABLE, LABELS, *(path.name for path in outlines.paths), OVERVIEW])


def write_summary(folder: Path, written: ResultSummary, *, skipped: float) -> None:
    """Mark a run as finished. ``skipped`` is the share of the slide that was not read, 0 to 1."""
    sizes = {name: (folder / name).stat().st_size for name in _FINAL}
    write_atomically(folder / SUMMARY, json.dumps({**written._asdict(), "skipped": skipped, "sizes": sizes}) + "\n")


def list_outlines(folder: Path, paths: Iterable[Path]) -> None:
    """Name the files of outlines in the summary of a finished run, after they were written again."""
    summary = read_json(folder / SUMMARY)
    summary["files"] = [TABLE, LABELS, *(path.name for path in paths), OVERVIEW]
    write_atomically(folder / SUMMARY, json.dumps(summary) + "\n")


def count_if_finished(folder: Path) -> int | None:
    """Return the number of nuclei of a finished run. None if it is not finished, or if a result file is missing."""
    try:
        summary = read_json(folder / SUMMARY)
        count, names = summary["nuclei"], {TABLE, LABELS, OUTLINES, OVERVIEW, *summary["files"]}
        if type(count) is not int or not 0 <= count < 2**32:
            raise ValueError(f"expected a count, got {count!r}")
        return count if all((folder / name).exists() for name in names) else None
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        logger.warning("%s is damaged: the run counts as unfinished", folder / SUMMARY)
        return None


def count_if_intact(folder: Path) -> int | None:
    """Return what `count_if_finished` does, and None if a result file is shorter or longer than it was written."""
    count = count_if_finished(folder)
    if count is None:
        return None
    sizes = read_json(folder / SUMMARY).get("sizes")
    for name in _FINAL:
        if not isinstance(sizes, dict) or sizes.get(name) != (folder / name).stat().st_size:
            logger.warning("%s is damaged: the run counts as unfinished", folder / name)
            return None
    return count
