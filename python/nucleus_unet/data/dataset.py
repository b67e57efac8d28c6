"""Read labelled sets: images and their nuclei, from a folder or a zip archive.

`nucleus_unet.data.sources` lists the supported layouts. Images are read as `predict` reads them; an alpha channel is
dropped, and so are colour channels that are all equal. Masks are merged into one label image.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.beside import Drawings, find_beside
from nucleus_unet.data.coco import find_coco, read_coco
from nucleus_unet.data.drawn import IGNORE_CLASSES, REGION_CLASSES, RegionClasses, masks_of, settled, view_of
from nucleus_unet.data.label_images import Masks, mask_as_png, numbered, read_label_image
from nucleus_unet.data.sources import Entry, Source, find_entries, open_source
from nucleus_unet.data.tables import Membership, membership_finder, read_encodings
from nucleus_unet.errors import DataError, ImageError, MaskError, SettingsError
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.software_tag import is_marked
from nucleus_unet.io.source import open_image
from nucleus_unet.masks import kaggle_to_labels, merge_mask_pngs
from nucleus_unet.preprocessing.normalisation import percentile_range
from nucleus_unet.progress import tracker
from nucleus_unet.wording import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """An image and its nuclei.

    Attributes
    ----------
    name
        Name of the image, unique within its set.
    category
        Category of the image, such as its staining. Training draws the categories in a balanced way. It is the cluster
        in the groups table, or the name of the set.
    image : NDArray[np.uint8] or NDArray[np.uint16], (H, W) or (H, W, 3)
        The image as `predict` sees it. Grey images that are stored as RGB are (H, W). An alpha channel is dropped.
    labels : NDArray[np.uint32] (H, W)
        Label image: 0 background, nuclei 1 to N in raster order of their first pixels.
    field_id
        Field of view or patient. Examples of one field are never split between folds. It is the name of the image if
        the field is unknown.
    valid : NDArray[np.bool_] (H, W) or None
        The pixels that are annotated, all nuclei among them. Others count neither in training nor in evaluation. None
        if all are.
    """

    name: str
    category: str
    image: NDArray[Any]
    labels: NDArray[np.uint32]
    field_id: str
    valid: NDArray[np.bool_] | None = None

    @cached_property
    def digest(self) -> str:
        """The `array_digest` of the image. It does not depend on the name or the set."""
        return array_digest(self.image)


def array_digest(array: NDArray[Any]) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of an array's dtype, shape and values."""
    header = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class ReadReport:
    """Number of images and nuclei that were read, and the problems of their masks.

    Attributes
    ----------
    images
        Number of examples.
    nuclei
        Number of nuclei in their label images.
    overlaps
        Name of each image with overlapping masks, and the number of pixels in several masks.
    empty_masks
        Name of each image with masks without any pixel, and the number of these masks.
    hidden_masks
        Name of each image with masks that lie completely in earlier masks, and the number of these masks.
    skipped
        Name of each skipped image, and the reason.
    unusable_masks
        Name of each image of which annotations are left out, how many, and the first reason.
    partly_annotated
        Name of each image of which only a part is annotated, and the share of its pixels.
    """

    images: int
    nuclei: int
    overlaps: dict[str, int]
    empty_masks: dict[str, int]
    hidden_masks: dict[str, int]
    skipped: dict[str, str]
    unusable_masks: dict[str, str]
    partly_annotated: dict[str, float] = field(default_factory=dict)

    def of_set(self, name: str) -> "ReadReport":
        """Return the report with the images named `name/image`, where `name` is that of the set."""
        named: dict[str, Any] = {
            column: {f"{name}/{image}": value for image, value in each.items()}
            for column, each in self._by_image.items()
        }
        return replace(self, **named)

    def __add__(self, other: "ReadReport") -> "ReadReport":
        """Return the report of both sets together. Their images have different names."""
        joined: dict[str, Any] = {column: each | other._by_image[column] for column, each in self._by_image.items()}
        return ReadReport(images=self.images + other.images, nuclei=self.nuclei + other.nuclei, **joined)

    @property
    def _by_image(self) -> dict[str, dict[str, Any]]:
        """What is told by the name of an image: all but the two numbers."""
        return {column: value for column, value in vars(self).items() if column not in ("images", "nuclei")}


# Takes an image's entry, its shape and the number of threads, and returns its nuclei.
_MaskReader = Callable[[Entry, tuple[int, int], int | None], Masks]


def read_examples(
    source: Path,
    *,
    groups: Path | None = None,
    labels_csv: Path | None = None,
    group_by: str | None = None,
    ignore_classes: Sequence[str] = IGNORE_CLASSES,
    region_classes: Sequence[str] = REGION_CLASSES,
    selection: Selection | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> tuple[list[Example], ReadReport]:
    r"""Read a labelled set from a folder or a zip archive. The archive is not unpacked.

    An image that cannot be used (no masks, masks of another shape, a damaged file) is skipped. Skipped images and
    overlapping, empty or hidden masks are logged and listed in the report.

    Parameters
    ----------
    source
        Folder or zip archive in a supported layout, or the folder above it: `<id>/images/<id>.png` with
        `<id>/masks/*.png` (Kaggle), `images/NAME.tif` with label images `masks/NAME.tif`, COCO JSON, or images with
        annotations beside them: `NAME.geojson` of QuPath, `NAME_rois.zip` of ImageJ, `NAME_labels.tif`.
    groups
        CSV table with the columns `image_id`, `cluster` (category) and `mosaic` (field or patient). If a cluster is
        empty, the optional columns `foreground` and `background` name the category.
    labels_csv
        CSV table of Kaggle run-length encodings, `ImageId,EncodedPixels`. It replaces the mask files.
    group_by
        Regular expression for the names of images without a field in the groups table. Its first group, or the whole
        match, is the field. For example, `r"^[^_]+"` gives field 01 to the images 01_1, 01_2, ...
    ignore_classes
        Classes of drawn objects that do not count, with all that lies in them. Case, a trailing `*` and trailing
        numbers make no difference.
    region_classes
        Classes of drawn regions outside of which nothing counts, where an image has such a region.
    selection
        The labelled plane of images with several channels, planes, times or scenes. None if each has only one.
    threads
        Number of images read at a time. None for one per core. The result does not depend on it.
    progress
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    list of Example
        The examples, sorted by name.
    ReadReport
        Number of images and nuclei, and the problems of the masks.

    Raises
    ------
    DataError
        The layout of the source is not supported, the source is damaged, a table lacks a column or names no image of
        the source, `group_by` does not match every name, or no image can be used.
    SettingsError
        `group_by` is not a regular expression, a class has both meanings, or `threads` is less than 1.
    MissingExtraError
        Annotations are polygons of COCO and pycocotools is missing, or ROIs of ImageJ and roifile is missing.
    OSError
        A file cannot be opened.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for part in "images", "masks":
    ...     (folder / part).mkdir()
    ...     tifffile.imwrite(folder / part / "01_1.tif", np.eye(4, dtype=np.uint8))
    >>> examples, report = read_examples(folder, group_by=r"^[^_]+")
    >>> examples[0].name, examples[0].image.shape, report.nuclei
    ('01_1', (4, 4), 1)
    """
    if threads is not None and threads < 1:
        raise SettingsError(f"threads: expected at least 1 or None for all cores, got {threads}")
    # Images are read in parallel, so each kernel uses one thread if the number of threads is limited.
    kernel_threads = None if threads is None else 1
    classes = RegionClasses(tuple(ignore_classes), tuple(region_classes))
    with open_source(Path(source)) as files:
        entries, read_masks = _find(files, labels_csv, classes)
        place = membership_finder(files.name, entries, groups, group_by)

        def read(entry: Entry) -> tuple[Example, Masks] | str:
            try:
                return _read_example(files, entry, read_masks, place, selection or Selection(), kernel_threads)
            except (ImageError, MaskError) as error:
                return str(error)

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            steps = tracker("reading images", show=progress)(entries)
            results = [result for result, _ in zip(pool.map(read, entries), steps, strict=True)]
    return _collect(entries, results)


def _find(files: Source, labels_csv: Path | None, classes: RegionClasses) -> tuple[list[Entry], _MaskReader]:
    """List the images. Return the function that reads the masks of one."""
    members = files.members()
    if labels_csv is not None:
        entries = find_entries(members, need_masks=False)
        encodings = read_encodings(Path(labels_csv), entries)
        return entries, lambda entry, shape, threads: _masks_of_encodings(entry.name, encodings, shape, threads)
    table, beside = find_coco(members), find_beside(members)
    if any(entry.annotation for entry in beside) or (beside and table is None):
        drawings = Drawings(files.read, beside)
        return beside, lambda entry, shape, threads: _masks_beside(files, entry, drawings, classes, shape, threads)
    if table is not None:
        coco = read_coco(files.read(table), table, members)
        return coco.entries, lambda entry, shape, threads: coco.masks(entry.name, shape, threads=threads)
    return find_entries(members), lambda entry, shape, threads: _masks_of_entry(files, entry, shape, threads)


def _read_example(
    files: Source,
    entry: Entry,
    read_masks: _MaskReader,
    place: Callable[[str], Membership],
    selection: Selection,
    threads: int | None,
) -> tuple[Example, Masks]:
    if entry.problem is not None:
        raise MaskError(entry.problem)
    image = _as_stored(_decode(files, entry.image, selection), entry.image)
    masks = read_masks(entry, (image.shape[0], image.shape[1]), threads)
    category, field_id = place(entry.name)
    return Example(entry.name, category, image, masks.labels, field_id, masks.valid), masks


def _masks_of_entry(files: Source, entry: Entry, shape: tuple[int, int], threads: int | None) -> Masks:
    if entry.label_image is not None:
        return Masks(read_label_image(files.read(entry.label_image), entry.label_image, shape))
    pngs = [mask_as_png(files.read(member), member) for member in entry.masks]
    return numbered(merge_mask_pngs(pngs, shape, threads=threads))


def _masks_beside(
    files: Source,
    entry: Entry,
    drawings: Drawings,
    classes: RegionClasses,
    shape: tuple[int, int],
    threads: int | None,
) -> Masks:
    """Return the nuclei that are drawn. With a label image, its nuclei, and the regions that are drawn."""
    opened = files.open(entry.image)
    if isinstance(opened, Path) and is_marked(opened):
        raise MaskError(f"{entry.image} is a result of nucleus-unet, expected an image")
    if entry.annotation is None:
        return _masks_of_entry(files, entry, shape, threads)
    view = view_of(entry.image, entry.annotation)
    drawn = masks_of(drawings.read(entry.annotation), shape, view=view, classes=classes, threads=threads)
    if entry.label_image is None:
        return drawn
    if drawn.labels.any():
        raise MaskError(
            f"nuclei are drawn in {entry.annotation} and numbered in {entry.label_image}: keep one of them, or draw "
            "regions only"
        )
    numbered = _masks_of_entry(files, entry, shape, threads)
    return settled(numbered._replace(valid=drawn.valid, unusable=drawn.unusable))


def _decode(files: Source, member: str, selection: Selection) -> NDArray[Any]:
    """Return the pixels of an image file, as `predict` sees them."""
    with open_image(files.open(member)) as source:
        return source.read(selection.only(source))


def _as_stored(pixels: NDArray[Any], member: str) -> NDArray[Any]:
    """Drop an alpha channel, and colour channels that are all equal."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or pixels.size == 0:
        raise ImageError(f"{member}: expected (H, W) or (H, W, C) with C from 1 to 4, got {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        pixels = _as_16_bit(pixels, member)
    if pixels.ndim == 2:
        return pixels
    red = pixels[..., 0]
    if channels < 3 or all(np.array_equal(red, pixels[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(red)
    return np.ascontiguousarray(pixels[..., :3])


def _as_16_bit(pixels: NDArray[Any], member: str) -> NDArray[np.uint16]:
    """Return pixels of another dtype as 16 bits. Only values far beyond the intensity range are clipped."""
    pixels = pixels.astype(np.float64)
    if not np.isfinite(pixels).all():
        raise ImageError(f"{member}: expected finite numbers, got pixels that are NaN or infinite")
    bounds = percentile_range(pixels)
    if bounds is None:
        return np.zeros(pixels.shape, np.uint16)
    width = bounds.high - bounds.low
    low, high = max(pixels.min(), bounds.low - width), min(pixels.max(), bounds.high + 3 * width)
    converted: NDArray[np.uint16] = np.rint((pixels.clip(low, high) - low) / (high - low) * 65535).astype(np.uint16)
    return converted


def _masks_of_encodings(
    name: str, encodings: dict[str, list[str]], shape: tuple[int, int], threads: int | None
) -> Masks:
    if name not in encodings:
        raise MaskError("no row in the table of encodings (an image without nuclei needs a row without pixels)")
    return numbered(kaggle_to_labels(encodings[name], shape, threads=threads))


def _collect(
    entries: Sequence[Entry], results: Sequence[tuple[Example, Masks] | str]
) -> tuple[list[Example], ReadReport]:
    examples = []
    nuclei = 0
    overlaps, empty_masks, hidden_masks, skipped, unusable_masks, partly_annotated = {}, {}, {}, {}, {}, {}
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, str):
            logger.warning("%s is skipped: %s", entry.name, result)
            skipped[entry.name] = result
            continue
        example, masks = result
        examples.append(example)
        nuclei += int(masks.labels.max())
        if lost := masks.merging.lost_pixels:
            logger.warning("%s: pixels in several masks, assigned to one of them: %d", entry.name, lost)
            overlaps[entry.name] = lost
        if empty := len(masks.merging.empty):
            logger.warning("%s: empty masks: %d", entry.name, empty)
            empty_masks[entry.name] = empty
        if hidden := len(masks.merging.hidden):
            logger.warning("%s: masks completely in earlier masks, lost: %d", entry.name, hidden)
            hidden_masks[entry.name] = hidden
        if reasons := masks.unusable:
            unusable_masks[entry.name] = f"{len(reasons)}: {reasons[0]}"
            logger.warning("%s: annotations are left out, %s", entry.name, unusable_masks[entry.name])
        if masks.valid is not None:
            partly_annotated[entry.name] = round(float(masks.valid.mean()), 4)
            logger.info("%s: %.0f %% of the pixels count", entry.name, 100 * partly_annotated[entry.name])
    if not examples:
        why = "\n".join(f"  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DataError(f"of {counted(len(entries), 'image')}, none can be used:\n{why}")
    by_image = (overlaps, empty_masks, hidden_masks, skipped, unusable_masks, partly_annotated)
    return examples, ReadReport(len(examples), nuclei, *by_image)
