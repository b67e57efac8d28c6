"""What a run leaves for people: a table, a label image, outlines. Equal plans leave equal files, to the byte."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MissingExtraError
from nucleus_unet.exports.geojson import feature
from nucleus_unet.files import written_atomically
from nucleus_unet.slides.sweep import Band, Numbered

TABLE, LABELS, OUTLINES = "nuclei.parquet", "labels.tif", "nuclei.geojson.gz"

# Side of the label image's tiles, and rows of a band.
SIDE = 512
_ROWS_IN_A_GROUP = 2**16
# Of gzip: at its utmost it took half of the whole pass, for files hardly smaller.
_EFFORT = 5


def check_extras() -> None:
    """Raise `MissingExtraError` now rather than at the end of a long run."""
    _pyarrow()


def write_results(folder: Path, bands: Iterator[Band], shape: tuple[int, int]) -> int:
    """Write all files from one pass over the nuclei.

    Parameters
    ----------
    folder
        Gets `TABLE`, `LABELS` and `OUTLINES`.
    bands
        Of `SIDE` rows each, from `nucleus_unet.slides.sweep.sweep`.
    shape
        Height and width of the slide.

    Returns
    -------
    int
        How many nuclei there are.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(written_atomically(folder / name)) for name in (TABLE, OUTLINES, LABELS)]
        table = stack.enter_context(_Table(files[0]))
        outlines = stack.enter_context(_Outlines(files[1]))

        def tiles() -> Iterator[NDArray[np.uint32]]:
            for band in bands:
                for block, index in band.beginning:
                    table.add(block, index)
                    outlines.add(block, index)
                for left in range(0, shape[1], SIDE):
                    yield _paint(band, slice(left, left + SIDE))

        with tifffile.TiffWriter(files[2], bigtiff=True) as writer:
            writer.write(
                tiles(),
                shape=shape,
                dtype=np.uint32,
                tile=(SIDE, SIDE),
                compression="zlib",
                predictor=True,
                metadata={"axes": "YX"},
                software="nucleus-unet",
                photometric="minisblack",
            )
    return table.count


def _paint(band: Band, columns: slice) -> NDArray[np.uint32]:
    """Draw the nuclei on one tile of the label image."""
    tile = np.zeros(SIDE * SIDE, np.uint32)
    for block in band.blocks:
        row, start, stop = block.nuclei.runs.T
        here = (row >= band.rows.start) & (row < band.rows.stop) & (start < columns.stop) & (stop > columns.start)
        if not here.any():
            continue
        labels = np.repeat(block.labels, np.diff(block.nuclei.first_run))[here]
        first = np.maximum(start[here] - columns.start, 0)
        lengths = np.minimum(stop[here] - columns.start, SIDE) - first
        begins = (row[here] - band.rows.start) * SIDE + first
        steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        tile[np.repeat(begins, lengths) + steps] = np.repeat(labels, lengths)
    return tile.reshape(SIDE, SIDE)


class _Table:
    """Rows of nuclei, as `nucleus_unet.Segmentation.table` has them, to a Parquet file."""

    def __init__(self, file: BinaryIO) -> None:
        self._arrow = _pyarrow()
        arrow = self._arrow
        kinds = dict.fromkeys(("row", "column"), arrow.float64())
        kinds |= dict.fromkeys(("top", "left", "bottom", "right", "area"), arrow.int64())
        kinds = {"label": arrow.uint32(), **kinds, "intensity": arrow.float64(), "probability": arrow.float32()}
        self._schema = arrow.schema(list(kinds.items()))
        self._writer = arrow.parquet.ParquetWriter(file, self._schema)
        self._rows: list[tuple[Any, ...]] = []
        self.count = 0

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
        self._writer.close()

    def add(self, block: Numbered, index: int) -> None:
        nuclei = block.nuclei
        self._rows.append(
            (
                block.labels[index],
                *nuclei.centroid[index],
                *nuclei.box[index],
                nuclei.area[index],
                nuclei.intensity[index],
                nuclei.probability[index],
            )
        )
        self.count += 1
        if len(self._rows) == _ROWS_IN_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [
            self._arrow.array(list(values), each.type) for values, each in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []


class _Outlines:
    """Polygons of nuclei, as `nucleus_unet.exports.geojson` has them, to a compressed file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(filename="", mode="wb", compresslevel=_EFFORT, fileobj=file, mtime=0)
        self._separator = b""

    def __enter__(self) -> _Outlines:
        self._file.write(b'{"type":"FeatureCollection","features":[')
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._file.write(b"]}")
            self._file.close()

    def add(self, block: Numbered, index: int) -> None:
        nuclei = block.nuclei
        top, left, bottom, right = (int(side) for side in nuclei.box[index])
        mask = np.zeros((bottom - top, right - left), np.uint32)
        for row, start, stop in nuclei.runs[nuclei.first_run[index] : nuclei.first_run[index + 1]].tolist():
            mask[row - top, start - left : stop - left] = 1
        (polygons,) = _core.contours(mask)
        moved = [[(ring + np.array([left, top])).tolist() for ring in polygon] for polygon in polygons]
        found = feature(
            moved,
            area=int(nuclei.area[index]),
            intensity=float(nuclei.intensity[index]),
            probability=float(nuclei.probability[index]),
        )
        self._file.write(self._separator + json.dumps(found, separators=(",", ":"), allow_nan=False).encode())
        self._separator = b","


def _pyarrow() -> ModuleType:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("slides need more packages: pip install 'nucleus-unet[slides]'") from error
    return pyarrow  # type: ignore[no-any-return, unused-ignore]
