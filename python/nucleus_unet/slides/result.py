"""The result of a slide: a folder of files that are written and read in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from nucleus_unet.exports.data_frame import data_frame
from nucleus_unet.exports.nucleus_table import NucleusTable, concatenate_tables, empty_table
from nucleus_unet.slides.plan import SlidePlan
from nucleus_unet.slides.writers.results import LABELS, OUTLINES, OVERVIEW, TABLE

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame


@dataclass(frozen=True)
class SlideResult:
    """The folder of a finished run.

    Attributes
    ----------
    folder
        Holds ``nuclei.parquet`` (GeoParquet: a row for each nucleus, as `Segmentation.table`, and its outline),
        ``labels.tif`` (OME-TIFF, a pyramid of uint32), ``nuclei.geojson.gz`` (detections for QuPath; beyond some
        250,000 of them ``nuclei-2.geojson.gz`` and so on), ``overview.png`` (density over a thumbnail) and
        ``plan.json`` (how they were found).
    count
        Number of nuclei.
    plan
        How they were found.
    """

    folder: Path
    count: int
    plan: SlidePlan

    def __hash__(self) -> int:
        return hash(self.folder)

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        """Return True, also for a slide without nuclei."""
        return True

    @property
    def labels_path(self) -> Path:
        """Path of the label image."""
        return self.folder / LABELS

    @property
    def table_path(self) -> Path:
        """Path of the table."""
        return self.folder / TABLE

    @property
    def outlines_path(self) -> Path:
        """Path of the outlines, of the first file if there are several."""
        return self.folder / OUTLINES

    @property
    def overview_path(self) -> Path:
        """Path of the overview picture."""
        return self.folder / OVERVIEW

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """One row for each nucleus, as the columns of `Segmentation.table`; all of them are in memory."""
        parts = [dataclasses.replace(part, outline=[b""] * len(part), cell=None) for part in self.iter_tables()]
        return concatenate_tables([*parts, empty_table()]).numbers()

    def to_pandas(self) -> DataFrame:
        """Return the table as a data frame, with the labels as its index (needs the ``pandas`` extra).

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        return data_frame(self.table)

    def to_anndata(self, *, name: str | None = None) -> AnnData:
        """Return the table as AnnData, as `Segmentation.to_anndata` does; all rows are in memory.

        Parameters
        ----------
        name
            Name of the slide, which is the key in ``uns["spatial"]``; by default the name of the folder.

        Raises
        ------
        MissingExtraError
            If anndata is not installed.
        """
        from nucleus_unet.exports.anndata import to_anndata

        return to_anndata(self.table, mpp=self.plan.mpp, name=name or self.folder.resolve().name)

    def iter_tables(self) -> Iterator[NucleusTable]:
        """Yield the nuclei with their outlines, some thousands at a time, in bounded memory."""
        from nucleus_unet.exports.parquet import read_table

        return read_table(self.table_path)

    def save(self, path: Path | str) -> Path:
        """Write the nuclei to a file; its suffix chooses the format, as with `Segmentation.save`.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        SettingsError
            If no format has this suffix.
        """
        from nucleus_unet.slides.export import save_slide

        return save_slide(self.folder, Path(path))

    def _repr_png_(self) -> bytes:
        """Return the overview, which notebooks show."""
        return self.overview_path.read_bytes()
