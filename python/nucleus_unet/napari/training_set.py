"""Write corrected images as a labelled set, in the layout that training reads: ``images/NAME.tif``, ``masks/NAME.tif``.

Images are added to a set one after another. The same image takes the place of its earlier labels.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.data.dataset import array_digest
from nucleus_unet.errors import DataError, ImageError
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.napari.correcting import tidy

IMAGES, MASKS = "images", "masks"
# A part of an image that is cut must show nuclei with what surrounds them.
_LEAST_SIDE = 64


class Corrected(NamedTuple):
    """An image whose nuclei somebody corrected.

    Attributes
    ----------
    name
        Name of the image, for people.
    image : NDArray[Any] (H, W) or (H, W, 3)
        Its pixels.
    labels : NDArray[np.uint32] (H, W)
        Its nuclei.
    """

    name: str
    image: NDArray[Any]
    labels: NDArray[np.uint32]


class Written(NamedTuple):
    """What was added to a set: the number of images and of nuclei, and the number of images in it now."""

    images: int
    nuclei: int
    total: int


def write_training_set(folder: Path, corrected: Iterable[Corrected]) -> Written:
    """Add corrected images to a labelled set. Labels are tidied: each nucleus is one piece without holes.

    Training holds out one image. If there is only one, it is cut into parts, which are stored as images.

    Parameters
    ----------
    folder
        Of the set; it is created if it is missing.
    corrected
        The images. Those without nuclei are passed over, as nothing tells whether anybody looked for them.

    Raises
    ------
    DataError
        If there are no nuclei, the only image is too small to be cut, or labels have another size than their image.
    OSError
        If nothing can be written.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> labels = np.zeros((200, 100), np.uint32)
    >>> labels[20:40, 20:40] = labels[150:170, 20:40] = 1
    >>> write_training_set(folder, [Corrected("cells", labels.astype(np.uint8), labels)])
    Written(images=2, nuclei=2, total=2)
    >>> len(list((folder / "masks").iterdir()))
    2
    """
    check_output_folder(folder, "a training set")
    corrected = list(corrected)
    for each in corrected:
        if each.image.shape[:2] != each.labels.shape:
            sizes = [" x ".join(map(str, shape)) for shape in (each.image.shape[:2], each.labels.shape)]
            raise DataError(f"training set: expected labels of {sizes[0]} pixels for {each.name}, got {sizes[1]}")
    kept = [each._replace(labels=tidy(each.labels)) for each in corrected]
    kept = [each for each in kept if each.labels.any()]
    if not kept:
        raise DataError("training set: expected labels with at least one nucleus, got none: draw or correct some first")
    names = {_file_name(each) for each in kept}
    others = {path.stem for path in (folder / IMAGES).glob("*.tif")} - names
    if len(names) == 1 and not {each for each in others if not each.startswith(f"{min(names)}-part")}:
        kept = list(_cut(kept[0]))
    nuclei = 0
    for each in kept:
        name = each.name if each.name.partition("-part")[0] in names else _file_name(each)
        _write(folder / MASKS / f"{name}.tif", each.labels)
        _write(folder / IMAGES / f"{name}.tif", trainable(each.image))
        for part in list((folder / IMAGES).glob(f"{name}-part*.tif")):
            part.unlink()  # of a time when this image was the only one
            (folder / MASKS / part.name).unlink(missing_ok=True)
        nuclei += len(np.unique(each.labels[each.labels > 0]))
    return Written(len(kept), nuclei, len(list((folder / IMAGES).glob("*.tif"))))


def _cut(only: Corrected) -> Iterator[Corrected]:
    """Yield the parts of an image: four, or two if it is narrow."""
    height, width = only.labels.shape
    down, across = (2 if side >= 2 * _LEAST_SIDE else 1 for side in (height, width))
    if down * across == 1:
        raise DataError(
            f"training set: expected two images, as one is held out, or one of at least {2 * _LEAST_SIDE} pixels, "
            f"which is cut in two, got one of {height} x {width}: correct a second image too"
        )
    name = _file_name(only)
    for row in range(down):
        for column in range(across):
            place = np.s_[
                row * height // down : (row + 1) * height // down,
                column * width // across : (column + 1) * width // across,
            ]
            yield Corrected(f"{name}-part{row * across + column + 1}", only.image[place], only.labels[place])


def trainable(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image as training reads it: of 8 or 16 bit unsigned integers. Other values are scaled to 16 bit.

    The scaling is linear, from the least to the greatest value, so that the model sees the same image.

    Raises
    ------
    ImageError
        If a value is NaN or infinite.

    Examples
    --------
    >>> trainable(np.array([[-1.0, 0.0, 1.0]]))
    array([[    0, 32768, 65535]], dtype=uint16)
    """
    if image.dtype in (np.uint8, np.uint16):
        return image
    values = image.astype(np.float64)
    least, most = values.min(initial=np.inf), values.max(initial=-np.inf)
    if values.size and not np.isfinite([least, most]).all():
        raise ImageError("training set: expected an image of finite numbers, got some that are NaN or infinite")
    if not most > least:
        return np.zeros(image.shape, np.uint16)
    scaled: NDArray[np.uint16] = np.rint((values - least) / (most - least) * (2**16 - 1)).astype(np.uint16)
    return scaled


def _file_name(each: Corrected) -> str:
    """Return a name for files: what people call the image, and what tells it from others of that name."""
    plain = re.sub(r"[^\w.-]+", "_", each.name).strip("._-")[:60] or "image"
    return f"{plain}-{array_digest(each.image)[:8]}"


def _write(path: Path, pixels: NDArray[Any]) -> None:
    content = io.BytesIO()
    colours = pixels.ndim == 3
    tifffile.imwrite(
        content,
        np.ascontiguousarray(pixels),
        compression="zlib",
        predictor=True,
        photometric="rgb" if colours else "minisblack",
        metadata=None,
    )
    write_atomically(path, content.getvalue())
