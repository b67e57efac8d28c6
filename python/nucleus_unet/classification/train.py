"""Train a classifier of nuclei from marked ones of several images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classification.fit import fit, require_sklearn
from nucleus_unet.classification.mark_readers import read_marks
from nucleus_unet.classification.marked import MarkedImage, is_result, marked_result, marked_segmentation
from nucleus_unet.classification.validation import Validation, cross_validate, filled, medians
from nucleus_unet.classifier.classes import ClassKind, Colour
from nucleus_unet.classifier.estimators import KINDS
from nucleus_unet.classifier.file import FILE
from nucleus_unet.classifier.model import Classifier, FoundBy, MeasuredAs
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.io.paths import check_path
from nucleus_unet.options import PredictKeywords, PredictOptions, parse_options
from nucleus_unet.reports.plots import PALETTE

if TYPE_CHECKING:
    from nucleus_unet.batch.run import Model

logger = logging.getLogger(__name__)

MEASURES = "intensity,shape"
"""Groups of measures by default."""

_LEAST = 2
# An angle tells how a nucleus lies, not what it is.
_NOT_USED = ("_orientation",)
_SAME_MPP = 0.02


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A classifier, and what is known of how good it is.

    Attributes
    ----------
    classifier
        The classifier.
    validation
        Its cross-validation.
    images
        The marked nuclei, image by image; `validation` has them in this order.
    """

    classifier: Classifier
    validation: Validation
    images: Sequence[MarkedImage]

    def save(self, folder: Path | str) -> Path:
        """Write ``classifier.json``, ``report.html`` and ``marked.csv`` to a folder; return the path of the first.

        Raises
        ------
        SettingsError
            If the folder is a file.
        MissingExtraError
            If the packages of pages are not installed.
        """
        from nucleus_unet.classification.report import write_report

        folder = check_path(folder, "out")
        write_report(self, folder)
        return self.classifier.save(folder / FILE)


def train_classifier(
    images: Iterable[tuple[Any, Path | str]],
    *,
    segmenter: Model | None = None,
    kind: str = "forest",
    names: Mapping[int, str] | None = None,
    **options: Unpack[PredictKeywords],
) -> TrainedClassifier:
    """Train a classifier of nuclei (needs the ``classify`` extra).

    Parameters
    ----------
    images
        Pairs of an image and its marks. An image is what `nucleus_unet.Segmenter.predict` takes and is segmented now;
        or it is a finished result with measures: the folder of a slide, or a Parquet or CSV table. Marks are a file of
        QuPath (GeoJSON), a table (CSV) or an image of painted classes; see
        `nucleus_unet.classification.mark_readers.read_marks`.
    segmenter
        Segments images; a `nucleus_unet.Segmenter`. The model of the package by default.
    kind
        ``"forest"``, a random forest, or ``"logistic"``, a logistic regression.
    names
        Names of the numbers of painted classes.
    **options
        Options of `nucleus_unet.Segmenter.predict`. ``measure`` is ``"intensity,shape"`` by default. The classifier
        remembers ``measure``, ``expand`` and ``neighbour_radius``.

    Returns
    -------
    TrainedClassifier
        Its ``classifier`` goes to `nucleus_unet.Segmenter.predict`.

    Raises
    ------
    DataError
        If marks or results are damaged, or a nucleus is marked as two classes.
    SettingsError
        If there are less than two classes, or a class has less than two marked nuclei, or no measure tells nuclei
        apart.
    MissingExtraError
        If scikit-learn is not installed.
    """
    if kind not in KINDS:
        raise SettingsError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")
    require_sklearn("ensemble")
    if options.get("classifier") is not None:
        raise SettingsError("classifier: this trains a new one; leave classifier out")
    parsed = parse_options(PredictOptions, {"measure": MEASURES, **options})
    if parsed.selection.several:
        raise SettingsError("expected one scene, one time, and one plane or a projection, got a range or 'all'")
    marked: list[MarkedImage] = []
    for number, (image, marks) in enumerate(images):
        name = str(image) if isinstance(image, Path | str) else f"image {number + 1}"
        read = read_marks(check_path(marks, "marks"), image=name, names=names)
        if is_result(image):
            marked.append(marked_result(Path(image), read, parsed))
            continue
        segmenter = segmenter or _embedded()
        marked.append(marked_segmentation(name, segmenter.predict(image, **parsed.keywords()), read, parsed))
    return train_on(marked, kind=kind)


def train_on(images: Sequence[MarkedImage], *, kind: str = "forest") -> TrainedClassifier:
    """Train a classifier on nuclei that are matched and measured; see `train_classifier`."""
    if not images:
        raise SettingsError("images: expected marked images, got none")
    every = [name for image in images for name in image.classes]
    counts = Counter(every)
    names = sorted(counts)
    if len(names) < 2:
        raise SettingsError(f"marks: expected nuclei of at least two classes, got {', '.join(map(repr, names))}")
    if rare := [name for name in names if counts[name] < _LEAST]:
        raise SettingsError(
            f"marks: expected at least {_LEAST} marked nuclei of each class, got 1 of {', '.join(map(repr, rare))}: "
            "mark more of them, or none"
        )
    kinds = tuple(map(ClassKind, names, _colours(images, names)))
    index = np.array([names.index(name) for name in every], np.int64)
    columns, values = _choose_columns(images)
    fill = medians(values)
    place = np.repeat(np.arange(len(images)), [len(image.labels) for image in images]).astype(np.int64)
    validation = cross_validate(kind, values, index, place, kinds)
    estimator = fit(kind, filled(values, fill), index, len(kinds))
    classifier = Classifier(kinds, columns, fill, estimator, _measured(images), _found_by(images))
    return TrainedClassifier(classifier, validation, images)


def _embedded() -> Model:
    from nucleus_unet.segmenter import Segmenter

    return Segmenter.from_pretrained()


def _colours(images: Sequence[MarkedImage], names: Sequence[str]) -> list[Colour]:
    """Return the colour of each class: that of the marks, or one that is told apart from the others."""
    told = {name: colour for image in reversed(images) for name, colour in image.colours.items()}
    return [told.get(name, PALETTE[place % len(PALETTE)]) for place, name in enumerate(names)]


def _choose_columns(images: Sequence[MarkedImage]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the columns that all images have and that differ between nuclei, and their values (N, M).

    Where all images tell their pixel size, lengths and areas in pixels give way to those in micrometres.
    """
    common = [name for name in images[0].columns if all(name in image.columns for image in images)]
    everywhere = {name for image in images for name in image.columns}
    if dropped := sorted(everywhere - set(common)):
        logger.warning("%d columns are not in all tables and are left out, such as %s", len(dropped), dropped[0])
    with_unit = {name.removesuffix(suffix) for name in common for suffix in ("_um", "_um2") if name.endswith(suffix)}
    with_unit |= {"area"} if "nucleus_area" in with_unit else set()
    chosen = [name for name in common if name not in with_unit and not name.endswith(_NOT_USED)]
    values = np.stack([np.concatenate([image.columns[name] for image in images]) for name in chosen], axis=1)
    values = np.where(np.abs(values) < np.finfo(np.float32).max, values, np.nan)
    differ = np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in values.T])
    if not differ.any():
        raise SettingsError("marks: the marked nuclei have equal measures, so nothing tells their classes apart")
    return tuple(name for name, keep in zip(chosen, differ, strict=True) if keep), values[:, differ]


def _measured(images: Sequence[MarkedImage]) -> MeasuredAs:
    """Return how all images were measured. Raise `SettingsError` if they were measured in different ways."""
    first = images[0].measured
    for image in images[1:]:
        for name in ("expand", "neighbour_radius"):
            one, other = getattr(first, name), getattr(image.measured, name)
            if one != other:
                raise SettingsError(
                    f"{name}: expected images that are measured in one way, got {one!r} in {images[0].name} and "
                    f"{other!r} in {image.name}"
                )
    groups = tuple(group for group in first.groups if all(group in image.measured.groups for image in images))
    if not groups:
        raise DataError("the tables have no group of measures in common: measure all of them in one way")
    sizes = [image.measured.mpp for image in images]
    known = [size for size in sizes if size is not None]
    same = len(known) == len(sizes) and max(known) / min(known) - 1 <= _SAME_MPP
    return first._replace(groups=groups, mpp=float(np.median(known)) if same else None)


def _found_by(images: Sequence[MarkedImage]) -> FoundBy:
    """Return the model that found all nuclei, as far as it is known; an empty name if there were several."""
    models = {image.found_by for image in images if image.found_by.fingerprint}
    if len(models) > 1:
        names = ", ".join(sorted(f"{each.model} ({each.fingerprint[:8]})" for each in models))
        logger.warning("the nuclei were found by different models: %s", names)
    return models.pop() if len(models) == 1 else FoundBy("", "")
