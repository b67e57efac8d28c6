"""Augmentation: nuclei of one cut of an image are pasted into another cut of the same image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.model.targets import Nuclei
from nucleus_unet.training.filters import gaussian_blur

# Bounds of the share of the nuclei that fit which are pasted.
_SHARE = (0.2, 1.0)
# Pixels. The pasted pixels fade out over about this distance around a nucleus.
_FADE = 1.0


class Cut(NamedTuple):
    """A square cut of an image, rotated and magnified.

    Attributes
    ----------
    image : NDArray[np.float32] (3, crop, crop)
        Normalised pixels, 0 to 1.
    labels : NDArray[np.uint32] (crop, crop)
        Label image. The labels are those of the whole image.
    nuclei
        All nuclei of the whole image, in pixels of the cut.
    valid : NDArray[np.bool_] (crop, crop)
        False outside the image, and where nobody annotated.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint32]
    nuclei: Nuclei
    valid: NDArray[np.bool_]


def paste_nuclei(target: Cut, source: Cut, incomplete: NDArray[np.integer], rng: np.random.Generator) -> Cut:
    """Paste a random part of the nuclei of one cut into another, where they cover no other nucleus.

    Pasted nuclei lie in the target where they lie in the source, and often touch others. Training thus has more crowded
    nuclei than the images have (Ghiasi et al. 2021, Simple copy-paste).

    Parameters
    ----------
    target, source
        Two cuts of the same image, with the same magnification.
    incomplete : NDArray[np.integer] (N,)
        Labels that are not pasted, because the edge of the image cuts their nuclei.
    rng
        Random generator.

    Returns
    -------
    Cut
        The target with the pasted nuclei, which have labels above those of the target. Nuclei of the source that were
        not pasted have no centre (NaN) and the diameter 0.
    """
    count = len(source.nuclei.diameters)
    free = (target.labels == 0) & target.valid & source.valid
    fits = np.bincount(source.labels.ravel(), weights=~free.ravel(), minlength=count) == 0
    fits[0] = False
    fits[incomplete] = False
    chosen = fits & (rng.random(count) < rng.uniform(*_SHARE))
    pasted = chosen[source.labels]
    if not pasted.any():
        return target
    # The weight is 1 in the pasted nuclei, and decreases around them. Pixels of other nuclei keep their values.
    weight = np.clip(2 * gaussian_blur(pasted.astype(np.float32)[None], _FADE)[0], 0, 1)
    weight = np.where(pasted, 1, np.where(free, weight, 0)).astype(np.float32)
    first = np.uint32(len(target.nuclei.diameters) - 1)
    centres = np.where(chosen[:, None], source.nuclei.centres, np.float32(np.nan))
    diameters = np.where(chosen, source.nuclei.diameters, np.float32(0))
    return Cut(
        target.image + weight * (source.image - target.image),
        np.where(pasted, source.labels + first, target.labels).astype(np.uint32),
        Nuclei(
            np.concatenate([target.nuclei.centres, centres[1:]]),
            np.concatenate([target.nuclei.diameters, diameters[1:]]),
        ),
        target.valid,
    )
