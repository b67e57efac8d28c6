"""The summary of a run over many images: one row a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nucleus_unet.batch.record import SUMMARY
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.folders import PassedOver


@dataclass(frozen=True, kw_only=True)
class FileSummary:
    """What was found in a file, or why nothing was.

    Attributes
    ----------
    file
        Path of the image.
    scene
        Name of the scene, or names with semicolons between them, if some were asked for; else empty.
    nuclei
        Number of nuclei. None if the file could not be segmented, as are the next four.
    median_area
        Median area of the nuclei in pixels. None without nuclei, too.
    scale
        Magnification from the image to what the network saw.
    expected_msa
        See `nucleus_unet.plan.Plan`.
    seconds
        Time to read and segment the file and to write its results.
    error
        What went wrong; empty if nothing did.
    results
        Path of the results without their suffixes.
    """

    file: Path
    scene: str = ""
    nuclei: int | None = None
    median_area: float | None = None
    scale: float | None = None
    expected_msa: float | None = None
    seconds: float | None = None
    error: str = ""
    results: Path

    @classmethod
    def failed(cls, file: Path, results: Path, error: BaseException) -> FileSummary:
        """Return the row of a file that could not be segmented."""
        text = str(error) or "not enough memory"
        if isinstance(error, OSError) and error.strerror and error.filename:  # without its number
            text = f"{error.filename}: {error.strerror}"
        return cls(file=file, error=text if str(file) in text else f"{file}: {text}", results=results)


_COLUMNS = ("file", "scene", "nuclei", "median_area", "scale", "expected_msa", "seconds", "error", "results")


@dataclass(frozen=True)
class BatchResult:
    """What a run over many images found.

    Attributes
    ----------
    out
        The output folder.
    files
        One row for each image, in order.
    passed_over
        What lies in the same folders and was not segmented, with the reason.
    resumed
        Number of images that an earlier run had finished.
    changed
        Images that were segmented again, because the files changed after an earlier run.
    """

    out: Path
    files: Sequence[FileSummary]
    passed_over: Sequence[PassedOver]
    resumed: int
    changed: Sequence[Path]

    @property
    def nuclei(self) -> int:
        """Number of nuclei in all images."""
        return sum(each.nuclei or 0 for each in self.files)

    @property
    def failures(self) -> list[FileSummary]:
        """The rows of the images that could not be segmented."""
        return [each for each in self.files if each.error]

    @property
    def summary(self) -> Path:
        """Path of the table of these rows."""
        return self.out / SUMMARY


def write_summary(result: BatchResult) -> None:
    """Write the rows as CSV, whole or not at all. Paths of results are relative to the output folder."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in result.files:
        area = "" if each.median_area is None else f"{each.median_area:g}"
        scale = "" if each.scale is None else f"{each.scale:g}"
        expected = "" if each.expected_msa is None else f"{each.expected_msa:g}"
        seconds = "" if each.seconds is None else f"{each.seconds:.3f}"
        nuclei = "" if each.nuclei is None else each.nuclei
        results = "" if each.error else each.results.relative_to(result.out).as_posix()
        writer.writerow([str(each.file), each.scene, nuclei, area, scale, expected, seconds, each.error, results])
    write_atomically(result.summary, text.getvalue())
