"""Read labelled sets: images and their nuclei, from a folder or a zip archive.

`nucleus_unet.data.sources` lists the supported layouts. Images are read as `predict` reads them; an alpha channel is
dropped, and so are colour channels that are all equal. Masks are merged into one label image.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.coco import find_coco, read_coco
from nucleus_unet.data.label_images import Masks, mask_as_png, read_label_image
from nucleus_unet.data.sources import Entry, Source, find_entries, open_source
from nucleus_unet.data.tables import Membership, membership_finder, read_encodings
from nucleus_unet.errors import DataError, ImageError, MaskError, SettingsError
from nucleus_unet.io.source import open_image
from nucleus_unet.masks import kaggle_to_labels, merge_mask_pngs, relabel_by_position
from nucleus_unet.progress import tracker

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
    """

    name: str
    category: str
    image: NDArray[Any]
    labels: NDArray[np.uint32]
    field_id: str

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
    """

    images: int
    nuclei: int
    overlaps: dict[str, int]
    empty_masks: dict[str, int]
    hidden_masks: dict[str, int]
    skipped: dict[str, str]
    unusable_masks: dict[str, str]

    def of_set(self, name: str) -> "ReadReport":
        """Return the report with the images named `name/image`, where `name` is that of the set."""
        by_image = (self.overlaps, self.empty_masks, self.hidden_masks, self.skipped, self.unusable_masks)
        named: list[Any] = [{f"{name}/{image}": value for image, value in each.items()} for each in by_image]
        return ReadReport(self.images, self.nuclei, *named)

    def __add__(self, other: "ReadReport") -> "ReadReport":
        """Return the report of both sets together. Their images have different names."""
        return ReadReport(
            self.images + other.images,
            self.nuclei + other.nuclei,
            self.overlaps | other.overlaps,
            self.empty_masks | other.empty_masks,
            self.hidden_masks | other.hidden_masks,
            self.skipped | other.skipped,
            self.unusable_masks | other.unusable_masks,
        )


# Takes an image's name, its shape and the number of threads, and returns its nuclei.
_MaskTable = Callable[[str, tuple[int, int], int | None], Masks]


def read_examples(
    source: Path,
    *,
    groups: Path | None = None,
    labels_csv: Path | None = None,
    group_by: str | None = None,
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
        `<id>/masks/*.png` (Kaggle), `images/NAME.tif` with label images `masks/NAME.tif`, or COCO JSON.
    groups
        CSV table with the columns `image_id`, `cluster` (category) and `mosaic` (field or patient). If a cluster is
        empty, the optional columns `foreground` and `background` name the category.
    labels_csv
        CSV table of Kaggle run-length encodings, `ImageId,EncodedPixels`. It replaces the mask files.
    group_by
        Regular expression for the names of images without a field in the groups table. Its first group, or the whole
        match, is the field. For example, `r"^[^_]+"` gives field 01 to the images 01_1, 01_2, ...
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
        `group_by` is not a regular expression, or `threads` is less than 1.
    MissingExtraError
        Annotations are polygons, and pycocotools is missing.
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
    with open_source(Path(source)) as files:
        entries, mask_table = _find(files, labels_csv)
        place = membership_finder(files.name, entries, groups, group_by)

        def read(entry: Entry) -> tuple[Example, Masks] | str:
            try:
                return _read_example(files, entry, mask_table, place, kernel_threads)
            except (ImageError, MaskError) as error:
                return str(error)

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            steps = tracker("reading images", show=progress)(entries)
            results = [result for result, _ in zip(pool.map(read, entries), steps, strict=True)]
    return _collect(entries, results)


def _find(files: Source, labels_csv: Path | None) -> tuple[list[Entry], _MaskTable | None]:
    """List the images. Return the function that decodes their masks if a table contains them, else None."""
    members = files.members()
    if labels_csv is None and (table := find_coco(members)) is not None:
        coco = read_coco(files.read(table), table, members)
        return coco.entries, lambda name, shape, threads: coco.masks(name, shape, threads=threads)
    entries = find_entries(members, need_masks=labels_csv is None)
    if labels_csv is None:
        return entries, None
    encodings = read_encodings(Path(labels_csv), entries)
    return entries, lambda name, shape, threads: _masks_of_encodings(name, encodings, shape, threads)


def _read_example(
    files: Source,
    entry: Entry,
    mask_table: _MaskTable | None,
    place: Callable[[str], Membership],
    threads: int | None,
) -> tuple[Example, Masks]:
    if entry.problem is not None:
        raise MaskError(entry.problem)
    image = _as_stored(_decode(files, entry.image), entry.image)
    shape = (image.shape[0], image.shape[1])
    if mask_table is not None:
        masks = mask_table(entry.name, shape, threads)
    elif entry.label_image is not None:
        masks = Masks(read_label_image(files.read(entry.label_image), entry.label_image, shape))
    else:
        masks = _masks_of_files(files, entry.masks, shape, threads)
    category, field_id = place(entry.name)
    return Example(entry.name, category, image, masks.labels, field_id), masks


def _decode(files: Source, member: str) -> NDArray[Any]:
    """Return the pixels of an image file, as `predict` sees them."""
    with open_image(files.open(member)) as source:
        return source.read(source.plane())


def _as_stored(pixels: NDArray[Any], member: str) -> NDArray[Any]:
    """Drop an alpha channel, and colour channels that are all equal."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or pixels.size == 0:
        raise ImageError(f"{member}: expected (H, W) or (H, W, C) with C from 1 to 4, got {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{member}: expected 8 or 16 bit unsigned integers, got {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels
    red = pixels[..., 0]
    if channels < 3 or all(np.array_equal(red, pixels[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(red)
    return np.ascontiguousarray(pixels[..., :3])


def _masks_of_encodings(
    name: str, encodings: dict[str, list[str]], shape: tuple[int, int], threads: int | None
) -> Masks:
    if name not in encodings:
        raise MaskError("no row in the table of encodings (an image without nuclei needs a row without pixels)")
    labels, merging = kaggle_to_labels(encodings[name], shape, threads=threads)
    return Masks(relabel_by_position(labels)[0], merging)


def _masks_of_files(files: Source, members: Sequence[str], shape: tuple[int, int], threads: int | None) -> Masks:
    pngs = [mask_as_png(files.read(member), member) for member in members]
    labels, merging = merge_mask_pngs(pngs, shape, threads=threads)
    return Masks(relabel_by_position(labels)[0], merging)


def _collect(
    entries: Sequence[Entry], results: Sequence[tuple[Example, Masks] | str]
) -> tuple[list[Example], ReadReport]:
    examples = []
    nuclei = 0
    overlaps, empty_masks, hidden_masks, skipped, unusable_masks = {}, {}, {}, {}, {}
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, str):
            logger.warning("%s is skipped: %s", entry.name, result)
            skipped[entry.name] = result
            continue
        example, masks = result
        examples.append(example)
        nuclei += int(masks.labels.max())
        if lost := masks.merging.lost_pixels:
            logger.warning("%s: %d pixels are in several masks and are assigned to the first", entry.name, lost)
            overlaps[entry.name] = lost
        if empty := len(masks.merging.empty):
            logger.warning("%s: %d masks are empty", entry.name, empty)
            empty_masks[entry.name] = empty
        if hidden := len(masks.merging.hidden):
            logger.warning("%s: %d masks lie completely in earlier masks and are lost", entry.name, hidden)
            hidden_masks[entry.name] = hidden
        if reasons := masks.unusable:
            unusable_masks[entry.name] = f"{len(reasons)}: {reasons[0]}"
            logger.warning("%s: annotations are left out, %s", entry.name, unusable_masks[entry.name])
    if not examples:
        why = "\n".join(f"  {name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise DataError(f"none of {len(entries)} images can be used:\n{why}")
    return examples, ReadReport(len(examples), nuclei, overlaps, empty_masks, hidden_masks, skipped, unusable_masks)
