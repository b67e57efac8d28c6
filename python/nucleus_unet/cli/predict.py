"""``nucleus-unet predict``."""

from __future__ import annotations

from typing import Annotated

import typer

from nucleus_unet.cli.inputs import Verbose, end_with, tell_failure, tell_passed_over
from nucleus_unet.cli.options import Formats, read_formats, with_options
from nucleus_unet.cli.shared import Device, Model, Out, Precision, bundle_path
from nucleus_unet.options import PredictOptions


@with_options(PredictOptions)
def predict(
    images: Annotated[list[str], typer.Argument(help="Image files, folders of them, or glob patterns.")],
    out: Out,
    options: PredictOptions,
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
    formats: Formats = "tif,geojson",
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
    """
    from nucleus_unet.batch.prepare import prepare_batch
    from nucleus_unet.batch.run import check_workers, run_batch
    from nucleus_unet.segmenter import Segmenter

    workers = check_workers(workers)
    batch = prepare_batch(images, out, formats=read_formats(formats), overwrite=overwrite)
    tell_passed_over(batch.passed_over, names=verbose)
    segmenter = Segmenter.from_pretrained(bundle_path(model), device=device, precision=precision)
    segmenter.check_options(options)
    run = run_batch(segmenter, batch, options.shown(), workers=workers, on_failure=lambda row: tell_failure(row.error))
    if run.resumed:
        typer.echo(f"{run.resumed} of {len(run.files)} images were done already")
    if run.changed:
        typer.echo(f"{len(run.changed)} images had changed since, and were segmented again")
    typer.echo(f"{run.nuclei} nuclei in {len(run.files) - len(run.failures)} images, written to {out}")
    end_with(len(run.failures), where=f"{run.summary} lists them")
