"""``nucleus-unet calibrate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nucleus_unet.cli.sets import Data, SetOptions, read_sets, with_set_options
from nucleus_unet.cli.shared import Device, show
from nucleus_unet.errors import SettingsError
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from nucleus_unet.data.dataset import Example
    from nucleus_unet.model.bundle import Bundle
    from nucleus_unet.training.calibration import Calibration


@with_set_options
def calibrate(
    bundle: Annotated[Path, typer.Argument(help="Model bundle; 'embedded' and 'small' are the package's models.")],
    data: Data,
    sets: SetOptions,
    out: Annotated[Path, typer.Option(help="Folder for the new model bundle.")],
    device: Device = "auto",
    scale: Annotated[
        bool, typer.Option("--scale", help="Learn to find the scale of images instead (needs the train extra).")
    ] = False,
    quality: Annotated[
        bool, typer.Option("--quality", help="Learn to estimate the quality of nuclei instead.")
    ] = False,
) -> None:
    """Choose the post-processing settings of a model on your labelled images, without training.

    Give images that the model was not trained on. A search along one setting after the other covers all settings of the
    grouping but the assignment radius and the largest offset. Of the minimum quality and the minimum probability, it
    covers the one that the model drops nuclei by. It maximises the mean of AP50 and mSA; categories of images are
    weighted by the square root of their number of images.

    With --scale, the model learns to find the scale of an image instead: your images are shown at up to eight times
    their size. Give images of as many kinds as you have.

    With --quality, the model learns to estimate how well each nucleus overlaps with the true one. Nuclei of low quality
    are dropped. Give images with at least 4000 nuclei.
    """
    from nucleus_unet.io.atomic import check_new_folder
    from nucleus_unet.model.bundle import load_bundle
    from nucleus_unet.training.calibration import calibrate_bundle

    if scale and quality:
        raise SettingsError("--scale and --quality: expected one of them; calibrate the new bundle again for the other")
    check_new_folder(out, "the model bundle")
    model = load_bundle(bundle)
    examples = read_sets(data, sets)
    if scale:
        _learn_scale(model, examples, out, device)
        return
    if quality:
        _learn_quality(model, examples, out, device)
        return
    _print(calibrate_bundle(model, examples, out, device=device, track=show))
    typer.echo(f"model bundle: {out}")


def _learn_scale(model: Bundle, examples: Sequence[Example], out: Path, device: str) -> None:
    from nucleus_unet.extras import require

    require("torch", "learning to find the scale needs more packages", extra="train")
    from nucleus_unet.training.scale_fitting import fit_scale_score_of_bundle

    fit_scale_score_of_bundle(model, examples, out, device=device, track=show)
    typer.echo(f"model bundle: {out}")


def _learn_quality(model: Bundle, examples: Sequence[Example], out: Path, device: str) -> None:
    from nucleus_unet.training.quality_fitting import fit_quality_score_of_bundle

    learned = fit_quality_score_of_bundle(model, examples, out, device=device, track=show)
    typer.echo(f"minimum quality         {learned.config.group.min_quality:10g}")
    typer.echo(f"model bundle: {out}")


def _print(calibration: Calibration) -> None:
    from nucleus_unet.training.validation import MIN_CALIBRATION_NUCLEI

    before, after = calibration.before, calibration.after
    typer.echo(f"{counted(before.images, 'image')}, {counted(before.truths, 'nucleus')}")
    typer.echo(f"{'':24}{'before':>10}{'after':>10}")
    for name, first, second in (
        ("AP50, pooled", before.pooled[0.5], after.pooled[0.5]),
        ("mean AP, pooled", before.pooled_mean, after.pooled_mean),
        ("AP50, per image", before.per_image[0.5], after.per_image[0.5]),
        ("mSA", before.per_image_mean, after.per_image_mean),
    ):
        typer.echo(f"{name:24}{first:10.4f}{second:10.4f}")
    for setting, (first, second) in calibration.changed.items():
        typer.echo(f"{setting:24}{first:10g}{second:10g}")
    if not calibration.changed:
        typer.echo("no other setting is better on these images")
    if before.truths < MIN_CALIBRATION_NUCLEI:
        typer.echo(f"fewer than {MIN_CALIBRATION_NUCLEI} nuclei: on other images this grouping may be no better")
    typer.echo(
        "the metrics after calibration are optimistically biased: they are measured on the images of the calibration"
    )
