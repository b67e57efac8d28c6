"""Read label images however people keep them: integers, whole floating-point numbers, palettes, colours.

Every form becomes an array of integers, 0 background. Forms that lost the labels are refused: lossy compression, and
masks of all nuclei in one value.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MaskError
from nucleus_unet.io.source import open_image
from nucleus_unet.masks import MergeReport, label, relabel_by_position

logger = logging.getLogger(__name__)

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".bmp", ".npy")
"""Suffixes of label images."""
LOSSY_SUFFIXES = (".jpg", ".jpeg", ".webp", ".jp2")
"""Suffixes of images whose compression may change labels."""

# Colour type of PNG files with a palette.
_PALETTE = 3
# labelme and VOC draw what is no object with the last number of a palette.
_VOID = 255
# A picture that was taken for labels, or a colour-coded file that was compressed with loss, has many tiny labels.
_MANY, _TINY = 20, 5
# Numbers of classes, and grey values, lie in many pieces each. A nucleus lies in one, few in two.
_MAX_PIECES = 3


class Masks(NamedTuple):
    """The nuclei of one image, as they were read.

    Attributes
    ----------
    labels : NDArray[np.uint32] (H, W)
        Labels 1 to N in raster order of their first pixels; 0 background.
    merging
        Overlapping, empty and hidden masks.
    unusable
        Why annotations were left out, one sentence each.
    valid : NDArray[np.bool_] (H, W) or None
        The pixels that are annotated. None for all.
    """

    labels: NDArray[np.uint32]
    merging: MergeReport = MergeReport((), (), ())
    unusable: tuple[str, ...] = ()
    valid: NDArray[np.bool_] | None = None


def numbered(merged: tuple[NDArray[np.uint32], MergeReport], unusable: Sequence[str] = ()) -> Masks:
    """Return merged masks with their nuclei numbered by position."""
    labels, merging = merged
    return Masks(relabel_by_position(labels)[0], merging, tuple(unusable))


def read_label_image(content: bytes, member: str, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """Read a label image.

    Parameters
    ----------
    content, member
        Bytes of the file, and its path in the source.
    shape
        Height and width of the image.

    Returns
    -------
    NDArray[np.uint32] (H, W)
        Labels 1 to N in raster order of their first pixels; 0 background.

    Raises
    ------
    ImageError
        The file cannot be read.
    MaskError
        The file is no label image, or has another size than the image.

    Examples
    --------
    >>> from imagecodecs import png_encode
    >>> red, green = (255, 0, 0), (0, 255, 0)
    >>> colours = np.array([[red, (0, 0, 0)], [red, green]], np.uint8)
    >>> read_label_image(png_encode(colours), "a.png", (2, 2))
    array([[1, 0],
           [1, 2]], dtype=uint32)
    """
    stored, is_palette = _decode(content, member)
    if stored.shape[:2] != shape or stored.ndim not in (2, 3):
        turned = "; it is turned" if stored.shape[:2] == shape[::-1] else ""
        raise MaskError(f"{member}: expected a label image of the image's shape {shape}, got {stored.shape}{turned}")
    labels = _whole_numbers(_numbers_of_colours(stored, member) if stored.ndim == 3 else stored, member)
    if is_palette:
        labels = _without_void(labels, member)
    if labels.size and labels.max() > np.iinfo(np.uint32).max:
        labels = np.unique(np.append(labels, 0), return_inverse=True)[1][:-1].reshape(shape)
    renumbered, old_labels = relabel_by_position(labels)
    _refuse_pictures(renumbered, member)
    _refuse_masks(renumbered, int(old_labels[-1]), member)
    return renumbered


def mask_as_png(content: bytes, member: str) -> bytes:
    """Return the mask of one nucleus as a PNG file. A pixel belongs to the nucleus if its value is not 0.

    Raises
    ------
    ImageError
        The file cannot be read.
    MaskError
        Its compression loses labels.
    """
    if content.startswith(b"\x89PNG"):
        return content
    stored, _ = _decode(content, member)
    mask = (stored if stored.ndim < 3 else stored[..., :3].any(axis=-1)) != 0
    return bytes(imagecodecs.png_encode(mask.astype(np.uint8)))


def _decode(content: bytes, member: str) -> tuple[NDArray[Any], bool]:
    """Return the numbers as stored, (H, W) or (H, W, C), and whether they are places in a palette."""
    if content.startswith((b"\xff\xd8\xff", b"RIFF", b"\x00\x00\x00\x0cjP", b"\xff\x4f\xff\x51")):
        raise MaskError(
            f"{member}: expected labels without loss, got JPEG, JPEG 2000 or WebP; save them as PNG or TIFF"
        )
    if content.startswith(b"\x93NUMPY"):
        return _array(content, member), False
    file = io.BytesIO(content)
    file.name = member
    with open_image(file, indices=True) as source:
        if content.startswith((b"II", b"MM")):
            _refuse_jpeg(content, member)
        plane = source.plane()
        pixels = source.read(plane)
        if plane.alpha:
            pixels = np.dstack([pixels, plane.read_alpha(*(slice(0, size) for size in plane.shape))])
    return pixels, content.startswith(b"\x89PNG") and content[25:26] == bytes([_PALETTE])


def _array(content: bytes, member: str) -> NDArray[Any]:
    """Return the array of a `.npy` file, without axes of length 1."""
    try:
        return np.squeeze(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except ValueError as error:
        if "Object arrays" in str(error):
            raise MaskError(
                f"{member}: expected an array of labels, got Python objects, which are not read; save the labels "
                "alone, for example as TIFF (of Cellpose: its _cp_masks files)"
            ) from error
        raise ImageError(f"{member}: cannot be read as an image: {error}") from error


def _refuse_jpeg(content: bytes, member: str) -> None:
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        if tiff.pages.first.compression in (tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.OJPEG):
            raise MaskError(f"{member}: expected labels without loss, got a TIFF with JPEG; save them without it")


def _numbers_of_colours(colours: NDArray[Any], member: str) -> NDArray[np.uint64]:
    """Return one number for each colour: 0 for black and for transparent pixels."""
    channels = colours.shape[2]
    if channels not in (2, 3, 4) or colours.dtype not in (np.uint8, np.uint16):
        raise MaskError(
            f"{member}: expected labels as (H, W), or as colours of 8 or 16 bits, got {colours.shape} of "
            f"{colours.dtype}"
        )
    has_alpha = channels in (2, 4)
    numbers = np.zeros(colours.shape[:2], np.uint64)
    for channel in range(channels - has_alpha):
        numbers |= colours[..., channel].astype(np.uint64) << np.uint64(16 * channel)
    if has_alpha:
        numbers[colours[..., -1] == 0] = 0
    if numbers.size and numbers.min() > 0:
        raise MaskError(f"{member}: expected colours of nuclei on black, got no black pixel")
    return numbers


def _whole_numbers(labels: NDArray[Any], member: str) -> NDArray[np.integer[Any]]:
    """Return labels as unsigned integers."""
    if labels.dtype.kind == "f":
        broken = labels[labels != np.rint(labels)]
        if broken.size:
            raise MaskError(
                f"{member}: expected labels as integers, got {broken[0]:g}: are these probabilities, or was the label "
                "image scaled with interpolation?"
            )
        if labels.size and np.abs(labels).max() >= 2**63:
            raise MaskError(f"{member}: expected labels below 2^63, got {np.abs(labels).max():g}")
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "uib":
        raise MaskError(f"{member}: expected labels as integers, got {labels.dtype}")
    if labels.size and labels.min() < 0:
        raise MaskError(f"{member}: expected 0 and positive labels, got {labels.min()}")
    return labels.astype(np.uint8) if labels.dtype.kind == "b" else labels


def _without_void(labels: NDArray[np.integer[Any]], member: str) -> NDArray[np.integer[Any]]:
    """Remove the last number of a palette, with which programs mark what is no object, unless it is the next label."""
    void = labels == _VOID
    if not void.any() or not (labels % _VOID).any() or (labels == _VOID - 1).any():
        return labels
    logger.warning("%s: %d pixels of the palette's number 255 (void) are background", member, np.count_nonzero(void))
    return np.where(void, 0, labels)


def _refuse_masks(labels: NDArray[np.uint32], value: int, member: str) -> None:
    """Raise `MaskError` if numbers stand for several nuclei each: for all, or for those of a class."""
    count = int(labels.max(initial=0))
    pieces = int(label(labels, connectivity=2).max(initial=0))
    if count == 1 and value in (1, 255, 65535) and pieces > 1:
        raise MaskError(
            f"{member}: expected one number for each nucleus, got {value} for all of {pieces} pieces; number them, for "
            "example with nucleus_unet.masks.label, and divide those that touch"
        )
    if pieces > _MAX_PIECES * count:
        raise MaskError(
            f"{member}: expected one number for each nucleus, got {count} numbers for {pieces} pieces: are these "
            "classes, or is it a picture?"
        )


def _refuse_pictures(labels: NDArray[np.uint32], member: str) -> None:
    """Raise `MaskError` if most labels are specks, or if none of several is background."""
    areas = np.bincount(labels.ravel())[1:]
    tiny = int(np.count_nonzero(areas < _TINY))
    if len(areas) > _MANY and 2 * tiny > len(areas):
        raise MaskError(
            f"{member}: {tiny} of {len(areas)} labels have fewer than {_TINY} pixels: expected a label image, is it a "
            "picture, or was it compressed with loss?"
        )
    if len(areas) > 1 and labels.min() > 0:
        raise MaskError(f"{member}: expected 0 for background, got {len(areas)} labels and no pixel of 0")
