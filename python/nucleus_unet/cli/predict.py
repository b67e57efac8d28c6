"""``nucleus-unet predict``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.cli.inputs import Verbose, answer_rows, each_in_turn, end_with, tell_failure, tell_passed_over
from nucleus_unet.cli.options import FormatsOrDefault, read_formats, with_options
from nucleus_unet.cli.shared import Device, Model, Out, Precision
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.names import CELL_FORMATS, FORMATS, STACK_FORMATS
from nucleus_unet.options import PredictOptions
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from nucleus_unet.batch.summary import BatchResult, FileSummary
    from nucleus_unet.segmenter import Segmenter


@answering
@with_options(PredictOptions)
def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Out,
    options: PredictOptions,
    answer: Answer,
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
    formats: FormatsOrDefault = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of images at once; memory grows with it, the results stay.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew, and replace results that are there.")
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Find the nuclei of images, in constant memory. The same command resumes a run that was stopped.

    Hidden files, earlier results and files of other formats in a folder are passed over and counted. A file that cannot
    be segmented is reported, and the command goes on. It then ends with exit code 1. The table summary.csv in the
    output folder has a row for each image.

    Ranges and all of --scene, --time and --z give each image a folder: label images with the axes TZYX, and one table.
    """
    from nucleus_unet.batch.prepare import prepare_batch
    from nucleus_unet.batch.run import check_workers, run_batch
    from nucleus_unet.segmenter import Segmenter

    workers = check_workers(workers)
    if options.selection.several:
        names = read_formats(formats or "tif,csv", STACK_FORMATS)
        segmenter = Segmenter.from_pretrained(model, device=device, precision=precision)
        segmenter.check_options(options)
        _predict_stacks(segmenter, images, out, options, names, answer, overwrite=overwrite, verbose=verbose)
        return
    names = read_formats(formats or "tif,geojson", FORMATS)
    if set(names) & set(CELL_FORMATS) and options.expand is None:
        raise SettingsError(f"format: {' and '.join(CELL_FORMATS)} need cells: give --expand, such as --expand 8")
    batch = prepare_batch(images, out, formats=names, overwrite=overwrite)
    tell_passed_over(batch.passed_over, names=verbose)
    segmenter = Segmenter.from_pretrained(model, device=device, precision=precision)
    segmenter.check_options(options)
    run = run_batch(segmenter, batch, options.shown(), workers=workers, on_failure=lambda row: tell_failure(row.error))
    answer.set(
        out=str(out),
        summary=str(run.summary),
        formats=names,
        resumed=run.resumed,
        changed=[str(path) for path in run.changed],
        **answer_rows(run.files, run.passed_over, lambda row: _files(row, names)),
    )
    if run.resumed:
        typer.echo(f"done already: {run.resumed} of {counted(len(run.files), 'image')}")
    if run.changed:
        typer.echo(f"segmented again, as the file had changed: {counted(len(run.changed), 'image')}")
    typer.echo(_told(run))
    end_with(len(run.failures), where=f"{run.summary} lists them")


def _told(run: BatchResult) -> str:
    found = counted(run.nuclei, "nucleus"), counted(len(run.files) - len(run.failures), "image")
    return f"{' in '.join(found)}, written to {run.out}"


def _files(row: FileSummary, formats: Sequence[str]) -> dict[str, Path]:
    """Return the paths of the results of an image."""
    return {each: row.results.with_name(row.results.name + FORMATS[each].suffixes[0]) for each in formats}


def _predict_stacks(
    segmenter: Segmenter,
    images: Sequence[str],
    out: Path,
    options: PredictOptions,
    formats: Sequence[str],
    answer: Answer,
    *,
    overwrite: bool,
    verbose: bool,
) -> None:
    """Segment several planes of each image; each image gets a folder."""
    from nucleus_unet.batch.find import find_images
    from nucleus_unet.batch.folder_names import keep_folder_names
    from nucleus_unet.batch.not_images import why_not
    from nucleus_unet.batch.prepare import nothing_found
    from nucleus_unet.batch.summary import BatchResult, FileSummary, write_summary
    from nucleus_unet.io.atomic import check_output_folder
    from nucleus_unet.io.file_facts import is_image

    found = find_images(images, why_not, is_whole=is_image)
    if not found.images:
        raise nothing_found(images, found)
    check_output_folder(out, "results")
    tell_passed_over(found.passed_over, names=verbose)
    keywords = {**options.keywords(), "progress": True}

    def find(path: Path, folder: Path) -> FileSummary:
        begun = time.perf_counter()
        result = segmenter.predict(path, out=folder, formats=formats, overwrite=overwrite, **keywords)
        areas = [plane.median_area for plane in result.planes if plane.median_area is not None]
        median = float(np.median(areas)) if areas else None
        scenes = "; ".join(dict.fromkeys(plane.place.scene_name for plane in result.planes))
        scales = {plane.scale for plane in result.planes}
        expected = [plane.expected_msa for plane in result.planes if plane.expected_msa is not None]
        return FileSummary(
            file=path,
            scene="" if options.scene is None else scenes,
            nuclei=len(result),
            median_area=median,
            scale=scales.pop() if len(scales) == 1 else None,
            expected_msa=min(expected, default=None),
            seconds=time.perf_counter() - begun,
            error="",
            results=folder,
        )

    folders = keep_folder_names(found.images, out, command="predict, several planes")
    run = BatchResult(out, each_in_turn(folders, find), found.passed_over, 0, [])
    write_summary(run)
    told = answer_rows(run.files, run.passed_over, lambda row: {"folder": row.results})
    answer.set(out=str(out), summary=str(run.summary), formats=list(formats), resumed=0, changed=[], **told)
    typer.echo(_told(run))
    end_with(len(run.failures), where=f"{run.summary} lists them")
