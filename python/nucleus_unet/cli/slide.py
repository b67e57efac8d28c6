"""``nucleus-unet slide``."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

import typer

from nucleus_unet.cli.inputs import each_in_turn, end_with, expand, with_targets
from nucleus_unet.cli.options import with_options
from nucleus_unet.cli.shared import Device, Model, Precision, bundle_path
from nucleus_unet.errors import SettingsError
from nucleus_unet.options import SlideOptions


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
) -> None:
    """Find the nuclei of images of any size, in bounded memory. The same command resumes a run that was stopped.

    The results of one slide go to the output folder itself. Of several slides, of a folder of slides or of a pattern,
    each gets a folder in it. A slide that cannot be read is skipped. The command then ends with a list of these
    and exit code 1.
    """
    from nucleus_unet.io.file_facts import is_image
    from nucleus_unet.io.formats import SEARCHED_SUFFIXES
    from nucleus_unet.segmenter import Segmenter
    from nucleus_unet.slides.executors.dask import connect
    from nucleus_unet.slides.plan import PLAN
    from nucleus_unet.slides.writers.results import LABELS, OVERVIEW, check_extras

    check_extras()
    if (shard is not None) + merge + (scheduler is not None) > 1:
        raise SettingsError("give one of --shard, --merge and --scheduler: shards are merged when all are done")
    share = None if shard is None else _read_shard(shard)
    keywords = {**options.keywords(), "progress": True}
    segmenter = Segmenter.from_pretrained(bundle_path(model), device=device, precision=precision)
    segmenter.check_options(options)
    client = None if scheduler is None else connect(scheduler)

    def find(path: Path, folder: Path) -> int:
        if share is not None:
            segmenter.predict_slide(path, out=folder, shard=share, **keywords)
            typer.echo(f"{folder}: shard {shard} is done; when all are: the same with --merge in place of --shard")
            return 0
        found = len(segmenter.predict_slide(path, out=folder, merge=merge, client=client, **keywords))
        typer.echo(f"{found} nuclei, written to {folder}")
        return found

    def wanted(path: Path) -> bool:
        return is_image(path) and not (path.name in (LABELS, OVERVIEW) and (path.parent / PLAN).exists())

    first = Path(images[0])
    searched = first.is_dir() and not is_image(first)
    if len(images) == 1 and not searched and (first.exists() or not glob.has_magic(images[0])):
        find(first, out)
        return
    if options.roi is not None:
        raise SettingsError("roi: regions are of one slide; give slides one by one")
    slides = list(with_targets(expand(images, wanted), out))
    if not slides:
        raise SettingsError(f"no slide found in: {', '.join(images)} (known are {', '.join(SEARCHED_SUFFIXES)}, zarr)")
    nuclei, failures = each_in_turn(slides, find)
    done = len(slides) - len(failures)
    typer.echo(f"{nuclei} nuclei in {done} slides" if share is None else f"shard {shard} of {done} slides is done")
    end_with(failures)


def _read_shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal()):
        raise SettingsError(f"shard: expected something like 3/20, got {text}")
    return int(number), int(of)
