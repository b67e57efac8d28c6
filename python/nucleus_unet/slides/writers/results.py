"""What a run leaves for people: table, label image, outlines, picture. Equal plans leave equal files, to the byte.

Further formats are made from these: `nucleus_unet.slides.export`.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Iterator
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
# Written last: a folder that has it is finished.
SUMMARY = "summary.json"


class Written(NamedTuple):
    """How many nuclei were found, and the names of the files that say so."""

    nuclei: int
    files: list[str]


def check_extras() -> None:
    """Raise `MissingExtraError` now rather than at the end of a long run."""
    pyarrow()
    check_pillow()


def write_results(
    folder: Path,
    bands: Iterable[RowBand],
    plan: SlidePlan,
    *,
    thumbnail: NDArray[np.uint8],
    scratch: Path,
) -> Written:
    """Write all files, from one pass over the nuclei.

    Parameters
    ----------
    folder
        Gets `TABLE`, `LABELS`, `OUTLINES` (and more files of outlines where they are many) and `OVERVIEW`.
    bands
        Of `nucleus_unet.slides.writers.labels.SIDE` rows each, from `nucleus_unet.slides.relabel.iter_bands`.
    plan
        How they were found.
    thumbnail
        Of the slide.
    scratch
        Folder for temporary files.
    """
    shape = (plan.height, plan.width)
    overview = Overview(thumbnail, shape, mpp=plan.mpp)
    with ExitStack() as stack:
        labels, rows_of_table = (stack.enter_context(written_atomically(folder / name)) for name in (LABELS, TABLE))
        table = stack.enter_context(TableWriter(rows_of_table))
        outlines = stack.enter_context(OutlineWriter(folder, compressed=True))

        def observed() -> Iterator[RowBand]:
            for band in bands:
                for observer in (table, outlines, overview):
                    observer.add(band.beginning)
                yield band

        identity = uuid.uuid5(NAMESPACE, json.dumps(plan.to_json(), sort_keys=True))
        write_labels(labels, observed(), shape, mpp=plan.mpp, uuid=str(identity), scratch=scratch)
    write_atomically(folder / OVERVIEW, overview.png())
    return Written(overview.count, [TABLE, LABELS, *(path.name for path in outlines.paths), OVERVIEW])


def write_summary(folder: Path, written: Written, *, skipped: float) -> None:
    """Say that a run is finished, what it left, and what share of the slide was passed over."""
    write_atomically(folder / SUMMARY, json.dumps({**written._asdict(), "skipped": skipped}) + "\n")


def count_if_finished(folder: Path) -> int | None:
    """Return how many nuclei a finished run has found; None if it is not finished, or its files are not all there."""
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
