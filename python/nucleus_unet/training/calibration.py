"""The grouping of a trained model, chosen anew for other images: its maps are predicted once, nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.io.atomic import check_new_folder, folder_written_atomically
from nucleus_unet.model.bundle import Bundle, save_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.training.validation import calibrate, predict_examples, scores_with

T = TypeVar("T")


class Track(Protocol):
    """Wraps what is gone through, to show progress."""

    def __call__(self, items: Sequence[T], what: str, /) -> Iterable[T]:
        """Return the items, one by one."""


def _untracked(items: Sequence[T], what: str, /) -> Iterable[T]:  # noqa: ARG001
    return items


_CARD = """\

## Grouping calibrated again

`nucleus-unet calibrate` chose the grouping anew on {images} images: mSA {before:.4f} before, {after:.4f} after. The
figures after are flattered a little, as they are of the images that it was chosen on. All other figures on this card
are of the grouping before.
"""


@dataclass(frozen=True)
class Calibration:
    """What choosing the grouping anew did.

    Attributes
    ----------
    start, found
        The grouping before and after.
    before, after
        Figures with each, on the same images.
    """

    start: GroupConfig
    found: GroupConfig
    before: Scores
    after: Scores

    @property
    def changed(self) -> dict[str, tuple[float, float]]:
        """By name of a setting: its value before and after."""
        before, after = self.start.to_json(), self.found.to_json()
        return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def calibrate_bundle(
    bundle: Bundle,
    examples: Sequence[Example],
    out: Path,
    *,
    device: str = "auto",
    track: Track = _untracked,
) -> Calibration:
    """Choose how a model's maps become nuclei by what is best on labelled images, and save it as a new bundle.

    Parameters
    ----------
    bundle
        The model, from `nucleus_unet.model.bundle.load_bundle`.
    examples
        Labelled images that the model was not trained on, or its maps are better than they will be.
    out
        Folder of the new bundle: new or empty. It appears whole or not at all.
    device
        See `nucleus_unet.inference.devices.choose_device`.
    track
        Wraps what is gone through, to show progress.

    Raises
    ------
    SettingsError
        There is something at ``out``.
    DataError
        There is no image, or no nucleus in any.
    """
    check_new_folder(out, "the model bundle")
    if not examples:
        raise DataError("no image to calibrate on")
    if not any(example.labels.any() for example in examples):
        raise DataError(f"expected labelled nuclei to calibrate on, found none in {len(examples)} images")
    engine = open_engine(bundle, device=device)
    predicted = [each for example in track(examples, "maps") for each in predict_examples(engine, [example])]
    start = bundle.config.group
    found = calibrate(predicted, start, track=lambda names: track(names, "settings"))
    calibration = Calibration(start, found, scores_with(predicted, start), scores_with(predicted, found))
    _save(bundle, calibration, examples, out)
    return calibration


def _save(bundle: Bundle, calibration: Calibration, examples: Sequence[Example], out: Path) -> None:
    before, after = calibration.before, calibration.after
    seen = replace(bundle.seen, choice=bundle.seen.choice | {example.digest for example in examples})
    said = {"images": len(examples), "before": before.to_json(), "after": after.to_json()}
    card = _CARD.format(images=len(examples), before=before.per_image_mean, after=after.per_image_mean)
    with folder_written_atomically(out) as folder:
        save_bundle(
            folder,
            bundle.weights,
            replace(bundle.config, name=out.resolve().name, group=calibration.found),
            quantisation=bundle.quantisation,
            metrics={**bundle.metrics, "calibration": said, "seen": seen.to_json()},
            card=bundle.card + card if bundle.card else None,
        )
