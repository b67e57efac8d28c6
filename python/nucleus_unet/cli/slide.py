"""``nucleus-unet slide``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.cli.inputs import Verbose, answer_rows, each_in_turn, end_with, tell_passed_over
from nucleus_unet.cli.options import with_options
from nucleus_unet.cli.shared import Device, Model, Precision
from nucleus_unet.errors import SettingsError
from nucleus_unet.options import SlideOptions
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from nucleus_unet.batch.summary import FileSummary
    from nucleus_unet.slides.result import SlideResult


@answering
@with_options(SlideOptions)
def slide(
    images: Annotated[
        list[str],
        typer.Argument(help="TIFF, SVS, OME-TIFF, OME-Zarr, NDPI, MRXS, DICOM, .npy, or any image; many, or folders."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for the results; with several slides, for one folder each. The same command resumes.",
        ),
    ],
    options: SlideOptions,
    answer: Answer,
    model: Model = None,
    device: Device = "auto",
    precision: Precision = "auto",
    shard: Annotated[
        str | None, typer.Option(help="3/20: do the third of twenty shares, at the same time as others.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Write the results when all shares are done.")] = False,
    scheduler: Annotated[
        str | None, typer.Option(help="tcp://...: use the workers of this dask scheduler, on shared storage.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Find the nuclei of images of any size, in bounded memory. The same command resumes a run that was stopped.

    The results of one slide go to the output folder itself. Of several slides, of a folder of slides or of a pattern,
    each gets a folder in it. Hidden files, earlier results and files of other formats are passed over and counted. A
    slide that cannot be read is reported, and the command goes on. It then ends with exit code 1.
    """
    from nucleus_unet.batch.find import find_images
    from nucleus_unet.batch.folder_names import keep_folder_names
    from nucleus_unet.batch.not_images import why_not
    from nucleus_unet.batch.prepare import nothing_found
    from nucleus_unet.batch.summary import BatchResult, FileSummary, write_summary
    from nucleus_unet.io.atomic import check_output_folder
    from nucleus_unet.io.file_facts import is_image
    from nucleus_unet.segmenter import Segmenter
    from nucleus_unet.slides.executors.dask import connect
    from nucleus_unet.slides.writers.results import check_extras

    check_extras()
    if (shard is not None) + merge + (scheduler is not None) > 1:
        raise SettingsError("give one of --shard, --merge and --scheduler: shards are merged when all are done")
    share = None if shard is None else _read_shard(shard)
    slides = find_images(images, why_not, is_whole=is_image)
    if not slides.images:
        raise nothing_found(images, slides)
    one_slide = len(images) == 1 and slides.images[0][0] == Path(images[0])
    if not one_slide and options.roi is not None:
        raise SettingsError("roi: regions are of one slide; give slides one by one")
    check_output_folder(out, "results")
    tell_passed_over(slides.passed_over, names=verbose)
    keywords = {**options.keywords(), "progress": True}
    segmenter = Segmenter.from_pretrained(model, device=device, precision=precision)
    segmenter.check_options(options)
    client = None if scheduler is None else connect(scheduler)

    def find(path: Path, folder: Path) -> FileSummary:
        if share is not None:
            segmenter.predict_slide(path, out=folder, shard=share, **keywords)
            typer.echo(f"{folder}: shard {shard} is done; when all are: the same with --merge in place of --shard")
            return FileSummary(file=path, results=folder)
        begun = time.perf_counter()
        result = segmenter.predict_slide(path, out=folder, merge=merge, client=client, **keywords)
        typer.echo(f"{counted(len(result), 'nucleus')}, written to {folder}")
        plan, seconds = result.plan.prediction, time.perf_counter() - begun
        return FileSummary(
            file=path,
            nuclei=len(result),
            median_area=_median_area(result),
            scale=plan.scale,
            expected_msa=plan.expected_msa if len(result) else None,
            seconds=seconds,
            results=folder,
        )

    answer.set(out=str(out), summary=None, shard=shard)
    if one_slide:
        row = find(slides.images[0][0], out)
        answer.set(**answer_rows([row], slides.passed_over, _files))
        return
    run = BatchResult(
        out, each_in_turn(keep_folder_names(slides.images, out, command="slide"), find), slides.passed_over, 0, []
    )
    done = len(run.files) - len(run.failures)
    answer.set(**answer_rows(run.files, run.passed_over, _files))
    if share is not None:
        typer.echo(f"shard {shard} of {counted(done, 'slide')} is done")
        end_with(len(run.failures), where="they are named above")
    else:
        write_summary(run)
        answer.set(summary=str(run.summary))
        typer.echo(f"{counted(run.nuclei, 'nucleus')} in {counted(done, 'slide')}")
        end_with(len(run.failures), where=f"{run.summary} lists them")


def _files(row: FileSummary) -> dict[str, Path]:
    """Return the folder of a slide and, if the slide is done, the paths of its results."""
    from nucleus_unet.slides.writers.results import LABELS, OUTLINES, OVERVIEW, TABLE

    results = {"parquet": TABLE, "tif": LABELS, "geojson": OUTLINES, "png": OVERVIEW} if row.nuclei is not None else {}
    return {"folder": row.results, **{chosen: row.results / name for chosen, name in results.items()}}


def _median_area(result: SlideResult) -> float | None:
    areas = np.concatenate([np.empty(0), *(each.area for each in result.iter_tables())])
    return float(np.median(areas)) if len(areas) else None


def _read_shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise SettingsError(f"shard: expected something like 3/20, got {text}")
    return int(number), int(of)
