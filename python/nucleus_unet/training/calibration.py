"""Calibration of a trained model's grouping on other images. The maps are predicted once; no weights are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.scale_log import without_log_of_images
from nucleus_unet.inference.segment import segment
from nucleus_unet.io.atomic import check_new_folder, folder_written_atomically
from nucleus_unet.model.bundle import Bundle, BundleConfig, save_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.options import PredictOptions
from nucleus_unet.training.validation import PredictedMaps, calibrate, score_maps
from nucleus_unet.wording import counted

Track = Callable[[Sequence[Any], str], Iterable[Any]]
"""Gets the items of a loop and their name for the user. Returns an iterable of them that shows progress."""


def untracked(items: Sequence[Any], _what: str) -> Iterable[Any]:
    """Show no progress."""
    return items


_CARD = """\

## Recalibrated grouping

`nucleus-unet calibrate` recalibrated the grouping on {images}: mSA {before:.4f} before, {after:.4f} after. The
value after calibration is optimistically biased, as it is measured on the images of the calibration. All other metrics
on this card were measured with the previous grouping.
"""


@dataclass(frozen=True)
class Calibration:
    """Result of a calibration.

    Attributes
    ----------
    start, found
        Grouping before and after the calibration.
    before, after
        Scores with each grouping, on the images of the calibration.
    """

    start: GroupConfig
    found: GroupConfig
    before: Scores
    after: Scores

    @property
    def changed(self) -> dict[str, tuple[float, float]]:
        """Value before and after the calibration of each changed setting, by name."""
        before, after = self.start.to_json(), self.found.to_json()
        return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def calibrate_bundle(
    bundle: Bundle,
    examples: Sequence[Example],
    out: Path,
    *,
    device: str = "auto",
    track: Track = untracked,
) -> Calibration:
    """Choose the grouping settings that are best on labelled images, and save the model as a new bundle.

    Parameters
    ----------
    bundle
        The model, from `nucleus_unet.model.bundle.load_bundle`.
    examples
        Labelled images that the model was not trained on. On its training images, its maps are better than on others.
    out
        Folder of the new bundle, new or empty. It is written atomically.
    device
        Device of the network. See `nucleus_unet.inference.devices.choose_device`.
    track
        Shows the progress.

    Returns
    -------
    Calibration
        Grouping and scores before and after.

    Raises
    ------
    SettingsError
        ``out`` is not a new or empty folder.
    DataError
        There are no images, or no nuclei in them.
    """
    check_new_folder(out, "the model bundle")
    if not examples:
        raise DataError("no image to calibrate on")
    if not any(example.labels.any() for example in examples):
        raise DataError(f"expected labelled nuclei to calibrate on, found none in {counted(len(examples), 'image')}")
    predicted = predict_as_by_default(bundle, examples, device=device, track=track)
    start = bundle.config.grouping
    found = calibrate(predicted, start, track=lambda names: track(names, "settings"))
    calibration = Calibration(start, found, score_maps(predicted, start), score_maps(predicted, found))
    _save(bundle, calibration, examples, out)
    return calibration


def predict_as_by_default(
    bundle: Bundle, examples: Sequence[Example], *, device: str, track: Track
) -> list[PredictedMaps]:
    """Return the maps of each image that `predict` groups by default, at the scale that it finds."""
    engine = open_engine(bundle, device=device)
    with without_log_of_images():
        return [_maps_as_predicted(bundle, engine, example) for example in track(examples, "maps")]


def _maps_as_predicted(bundle: Bundle, engine: Engine, example: Example) -> PredictedMaps:
    found = segment(bundle, engine, example.image, PredictOptions(maps=True))
    assert found.maps is not None
    return PredictedMaps(example, found.maps, math.nan, found.plan.scale)


def _save(bundle: Bundle, calibration: Calibration, examples: Sequence[Example], out: Path) -> None:
    before, after = calibration.before, calibration.after
    entry = {"images": len(examples), "before": before.to_json(), "after": after.to_json()}
    card = _CARD.format(
        images=counted(len(examples), "image"), before=before.per_image_mean, after=after.per_image_mean
    )
    save_calibrated(bundle, bundle.config.with_grouping(calibration.found), examples, out, card, {"calibration": entry})


def save_calibrated(
    bundle: Bundle,
    config: BundleConfig,
    examples: Sequence[Example],
    out: Path,
    card: str,
    metrics: Mapping[str, Any] = MappingProxyType({}),
) -> Bundle:
    """Save a model with settings that were chosen on labelled images, as a new bundle.

    Parameters
    ----------
    bundle
        The model before.
    config
        Its configuration now. The name becomes that of the folder.
    examples
        The images. The bundle names them as images on which it was tuned.
    out
        Folder of the new bundle, new or empty. It is written atomically.
    card
        What is added to the model card, if there is one.
    metrics
        What is added to the metrics.
    """
    seen = replace(bundle.seen, choice=bundle.seen.choice | {example.digest for example in examples})
    calibrated = replace(
        bundle,
        config=replace(config, name=out.resolve().name),
        metrics={**bundle.metrics, **metrics, "seen": seen.to_json()},
        card=bundle.card + card if bundle.card else "",
    )
    with folder_written_atomically(out) as folder:
        save_bundle(calibrated, folder)
    return calibrated
