"""Augmentation: random crops, rotations, scales and appearance changes make training samples from images.

Sample number ``k`` of a run depends only on the run's seed and on ``k``. So a resumed run has the samples of an
uninterrupted run, for any number of loader processes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from nucleus_unet.errors import SettingsError
from nucleus_unet.masks import smooth_labels
from nucleus_unet.model.targets import Nuclei, Targets, targets
from nucleus_unet.training.appearance import augment_intensity, augment_stain
from nucleus_unet.training.filters import gaussian_blur
from nucleus_unet.training.magnification import add_fine_texture
from nucleus_unet.training.noise import empty_field, normalised
from nucleus_unet.training.pasting import Cut, paste_nuclei
from nucleus_unet.training.source_image import CANDIDATE_PERCENTILES, SourceImage

# Below this magnification, images are smoothed against aliasing.
_ALIASED_SCALE = 0.6
# Above this magnification, the outlines of labels are smoothed, and texture is added.
_SMOOTH_SCALE = 1.5
_MAX_SMOOTHING_RADIUS = 8
# Share of samples without nuclei that show an empty part of the image, its largest magnification, and the number of
# places that are tried.
_EMPTY_PARTS, _EMPTY_SCALE, _EMPTY_TRIES = 0.5, 8.0, 8
_LOW, _HIGH = 5, 5  # the first five percentiles are candidates for black, the last five for white


@dataclass(frozen=True)
class AugmentConfig:
    """Configuration of the augmentation.

    Attributes
    ----------
    crop
        Height and width of a sample in pixels.
    scale
        Bounds of the magnification, which is drawn log-uniformly.
    diameters
        Bounds in pixels of an image's median nuclear diameter after magnification.
    strength
        Probability, 0 to 1, of changes of intensity, colour, focus and noise.
    negatives
        Share of samples without nuclei. They show noise. If `any_size` is not 0, half of them show an enlarged empty
        part of the image, if it has one.
    on_grid
        Share of samples that are not resampled: they are rotated by multiples of 90 degrees and not magnified. Their
        outlines in image and labels agree exactly.
    any_size
        Share of samples that are magnified to a random median nuclear diameter, drawn log-uniformly. Enlarged nuclei
        get smooth outlines and the fine texture of an objective of higher magnification.
    any_diameters
        Bounds of this diameter in pixels.
    pasted
        Share of samples into which nuclei of another cut of the same image are pasted.
    """

    crop: int = 256
    scale: tuple[float, float] = (0.6, 1.7)
    diameters: tuple[float, float] = (10.0, 64.0)
    strength: float = 1.0
    negatives: float = 0.03
    on_grid: float = 0.0
    any_size: float = 0.0
    any_diameters: tuple[float, float] = (6.0, 120.0)
    pasted: float = 0.0

    def __post_init__(self) -> None:
        for name in ("strength", "negatives", "on_grid", "any_size", "pasted"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name}: expected 0 to 1, got {getattr(self, name)}")

    def final_phase(self) -> AugmentConfig:
        """Return the augmentation of the final phase of a run: a smaller range of scales, and half not resampled.

        Strong augmentation makes the model robust. Exact outlines are learned from undistorted images, as detectors
        disable mosaic augmentation in their last epochs (Ge et al. 2021, YOLOX). The `strength` does not change: with
        half of it, a model found 1/4 fewer nuclei in a stain without training images.
        """
        low, high = self.scale
        return replace(self, scale=(math.sqrt(low), math.sqrt(high)), on_grid=max(self.on_grid, 0.5))


@dataclass(frozen=True)
class Sample:
    """One training sample.

    Attributes
    ----------
    image : NDArray[np.float32] (3, crop, crop)
        Normalised image, 0 to 1.
    targets : Targets
        Training targets of the network.
    valid : NDArray[np.bool_] (crop, crop)
        False at pixels that are ignored in the loss: outside the image, where reflection fills them, and where nobody
        annotated.
    """

    image: NDArray[np.float32]
    targets: Targets
    valid: NDArray[np.bool_]


def draw_sample(original: SourceImage, config: AugmentConfig, rng: np.random.Generator) -> Sample:
    """Draw one random sample of an image.

    Parameters
    ----------
    original
        The image.
    config
        Configuration of the augmentation.
    rng
        Random generator.

    Returns
    -------
    Sample
        Pixels and training targets.
    """
    if rng.random() < config.negatives:
        return _draw_empty(original, config, rng)
    scale, on_grid = _draw_scale(original, config, rng)
    # If an option is off, no random number is drawn, so that the samples of earlier runs do not change.
    is_enlarged = bool(config.any_size) and scale > _SMOOTH_SCALE
    is_rounded = is_enlarged and rng.random() < 0.5
    cut = _cut(original, config.crop, scale, on_grid, is_rounded, rng)
    if config.pasted and rng.random() < config.pasted:
        cut = paste_nuclei(cut, _cut(original, config.crop, scale, on_grid, is_rounded, rng), original.incomplete, rng)
    image, labels, nuclei, valid = cut
    if is_enlarged:
        labels = smooth_labels(labels, min(math.ceil(scale / 2), _MAX_SMOOTHING_RADIUS), threads=1)
        image = add_fine_texture(image, labels, scale, original.is_dark, rng)
    if rng.random() < config.strength * (0.6 if original.is_stained else 0.1 if original.is_dark else 0):
        image = augment_stain(image, labels, nuclei, rng)
    if rng.random() < config.strength:
        image = augment_intensity(image, original.is_dark, rng)
    return Sample(np.ascontiguousarray(image), targets(labels, nuclei), valid)


def _draw_empty(original: SourceImage, config: AugmentConfig, rng: np.random.Generator) -> Sample:
    """Draw a sample without nuclei: noise, or, if samples are of any size, an enlarged empty part of the image."""
    if config.any_size and rng.random() < _EMPTY_PARTS:
        for _ in range(_EMPTY_TRIES):
            scale = math.exp(rng.uniform(0, math.log(_EMPTY_SCALE)))
            cut = _cut(original, config.crop, scale, False, rng.random() < 0.5, rng)
            if cut.valid.all() and not cut.labels.any():
                return Sample(normalised(cut.image), targets(cut.labels), cut.valid)
    empty = np.zeros((config.crop, config.crop), np.uint32)
    return Sample(empty_field(config.crop, rng), targets(empty), np.ones(empty.shape, bool))


def _draw_scale(original: SourceImage, config: AugmentConfig, rng: np.random.Generator) -> tuple[float, bool]:
    """Return the magnification, and whether the sample is rotated by a multiple of 90 degrees."""
    on_grid = rng.random() < config.on_grid
    scale = 1.0 if on_grid else math.exp(rng.uniform(*np.log(config.scale)))
    bounds = config.diameters
    if config.any_size and rng.random() < config.any_size:
        bounds = config.any_diameters
        scale = math.exp(rng.uniform(*np.log(bounds))) / original.median_diameter
    smallest, largest = (bound / original.median_diameter for bound in bounds)
    return min(max(scale, smallest), largest), on_grid


def _cut(
    original: SourceImage, crop: int, scale: float, on_grid: bool, is_rounded: bool, rng: np.random.Generator
) -> Cut:
    """Cut a square of the image, at a random place, rotated and reflected at random.

    If it is rounded, it has the grey levels of the image, as a file of an enlarged image has.
    """
    height, width = original.labels.shape
    # Half of the samples are rotated by multiples of 90 degrees: other angles blur the image.
    angle = rng.integers(4) * math.pi / 2 if on_grid or rng.random() < 0.5 else rng.uniform(0, 2 * math.pi)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    if rng.random() < 0.5:
        turn = turn @ np.diag([1.0, -1.0])
    to_original = turn / scale
    reach = np.abs(to_original).sum(axis=1) * crop / 2
    middle = np.array(
        [
            start + rng.uniform(min(r, (end - start) / 2), max(end - start - r, (end - start) / 2)) - 0.5
            for r, (start, end) in zip(reach, original.annotated_box, strict=True)
        ]
    )
    # Output pixel p (row, column) is at to_original @ (p - centre) + middle in the original.
    centre = (crop - 1) / 2
    if on_grid and scale == 1:
        middle = np.rint(middle - centre) + centre
    steps = np.arange(crop) - centre
    rows = to_original[0, 0] * steps[:, None] + to_original[0, 1] * steps[None, :] + middle[0]
    columns = to_original[1, 0] * steps[:, None] + to_original[1, 1] * steps[None, :] + middle[1]
    valid = (rows >= -0.5) & (rows <= height - 0.5) & (columns >= -0.5) & (columns <= width - 0.5)

    nearest_rows = np.clip(np.rint(rows), 0, height - 1).astype(np.intp)
    nearest_columns = np.clip(np.rint(columns), 0, width - 1).astype(np.intp)
    labels = np.where(valid, original.labels[nearest_rows, nearest_columns], 0).astype(np.uint32)
    if original.valid is not None:
        valid &= original.valid[nearest_rows, nearest_columns]
    centres = (original.nuclei.centres - middle) @ np.linalg.inv(to_original).T + centre
    nuclei = Nuclei(centres.astype(np.float32), original.nuclei.diameters * np.float32(scale))

    return Cut(_normalised_window(original, rows, columns, scale, is_rounded, rng), labels, nuclei, valid)


def _normalised_window(
    original: SourceImage,
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    scale: float,
    is_rounded: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    height, width = original.labels.shape
    low = original.levels[rng.integers(_LOW)]
    high = original.levels[len(CANDIDATE_PERCENTILES) - 1 - rng.integers(_HIGH)]
    if high <= low:
        low, high = original.levels[0], max(original.levels[-1], original.levels[0] + 1)
    # Only the rows and columns of the sample are converted, as images may be large.
    margin = 2
    top, bottom = _clip_range(rows, margin, height)
    left, right = _clip_range(columns, margin, width)
    window = original.image[top:bottom, left:right].astype(np.float32)
    if window.ndim == 2:
        window = window[..., None]
    window = np.clip((window - np.float32(low)) / np.float32(high - low), 0, 1)
    if scale < _ALIASED_SCALE:  # each pixel of the sample is a mean of several original pixels
        smoothed = gaussian_blur(np.moveaxis(window, -1, 0), math.sqrt(1 / scale**2 - 1) / 2)
        window = np.moveaxis(smoothed, 0, -1)
    grid = np.stack(
        [
            (2 * (columns - left) + 1) / (right - left) - 1,
            (2 * (rows - top) + 1) / (bottom - top) - 1,
        ],
        axis=-1,
    )
    sampled = functional.grid_sample(
        torch.from_numpy(np.moveaxis(window, -1, 0).copy())[None],
        torch.from_numpy(grid.astype(np.float32))[None],
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )[0]
    image = sampled.expand(3, -1, -1).numpy().copy()
    if is_rounded and original.image.dtype.kind in "iu":
        image = np.rint(image * np.float32(high - low)) / np.float32(high - low)
    return image


def _clip_range(values: NDArray[np.float64], margin: int, size: int) -> tuple[int, int]:
    start = min(max(math.floor(values.min()) - margin, 0), size - 1)
    stop = max(min(math.ceil(values.max()) + margin + 1, size), start + 1)
    return start, stop
