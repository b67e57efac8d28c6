"""Read TIFF files in all their forms: OME-TIFF, ImageJ, LSM, STK, SVS, QPTIFF, BigTIFF and plain ones.

What the tags and the metadata say decides: the photometric interpretation is what a pixel's numbers mean, samples are
colours, and channels of their own are stains.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import RGB, OpenedFile, Scene
from nucleus_unet.io.tiff_colours import colours_of_page
from nucleus_unet.io.tiff_metadata import TiffMetadata
from nucleus_unet.io.tiff_open import open_tiff
from nucleus_unet.io.tiff_regions import SeriesReader

# Names of the pictures that slides come with, as tifffile names them.
_BESIDES = ("thumbnail", "label", "macro", "map", "slide", "reduced", "lsmreduced")
# By the kind of file as tifffile names it, in order of preference.
_NAMES = {
    "ome": "OME-TIFF",
    "lsm": "LSM (Zeiss)",
    "stk": "STK (MetaMorph)",
    "svs": "SVS (Aperio)",
    "qpi": "QPTIFF (Akoya)",
    "philips": "TIFF (Philips)",
    "micromanager": "TIFF (Micro-Manager)",
    "imagej": "TIFF (ImageJ)",
}


def open_file(file: Path | BinaryIO, *, indices: bool = False) -> OpenedFile:
    """Open a TIFF file.

    Scans whose first image is not the full resolution (NDPI, SCN, BIF) are opened with OpenSlide.

    Raises
    ------
    ImageError
        If it is damaged or contains no image.
    """
    opened, warnings = open_tiff(file)
    if isinstance(file, Path) and (opened.is_ndpi or opened.is_scn or opened.is_bif):
        from nucleus_unet.io import scanners

        opened.close()
        return scanners.open_file(file)
    try:
        return _describe(opened, file, warnings, indices=indices)
    except BaseException:
        opened.close()
        raise


def _describe(opened: tifffile.TiffFile, file: Path | BinaryIO, warnings: list[str], *, indices: bool) -> OpenedFile:
    metadata = TiffMetadata(opened, warnings)
    others = metadata.other_files() if isinstance(file, Path) else []
    missing = [other for other in others if not (file.parent / other).exists()] if isinstance(file, Path) else []
    images = _images(opened, metadata)
    scenes = tuple(
        scene for image in images for scene in _scenes(opened, file, image, metadata, missing, indices=indices)
    )
    if not scenes:
        raise ImageError("expected at least one image, got a TIFF file without any")
    if missing:
        metadata.warnings.append(f"files that belong to it are not there: {', '.join(missing)}")
    self_contained = not isinstance(file, Path) or not set(others) - {file.name}
    name = next((name for kind, name in _NAMES.items() if getattr(opened, f"is_{kind}")), "TIFF")
    return OpenedFile(
        format=name,
        scenes=scenes,
        warnings=tuple(dict.fromkeys(warnings)),
        self_contained=self_contained,
        close=opened.close,
    )


@dataclass(frozen=True)
class _Image:
    """A series of pages of one image, with its number in the metadata, and the levels of its pyramid, itself first."""

    series: tifffile.TiffPageSeries
    number: int
    pyramid: tuple[tifffile.TiffPageSeries, ...]

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level."""
        return tuple((level.keyframe.imagelength, level.keyframe.imagewidth) for level in self.pyramid)


def _images(file: tifffile.TiffFile, metadata: TiffMetadata) -> list[_Image]:
    """Return the images of a file: no thumbnails, and of a pyramid the full resolution."""
    numbered = zip(metadata.image_numbers(), file.series, strict=True)
    series = [(number, each) for number, each in numbered if each.size and each.ndim >= 2]
    kept = [each for each in series if each[1].name.lower() not in _BESIDES] or series
    if masks := [each for each in kept if each[1].keyframe.is_mask]:
        kept = [each for each in kept if each not in masks] or kept
        metadata.warnings.append("its transparency mask is not read")
    if file.is_svs or file.is_philips or file.is_qpi:
        kept = kept[:1]
        if kept[0][1].dtype.kind == "u":
            kept[0][1].keyframe.nodata = np.iinfo(kept[0][1].dtype).max  # tiles that the scanner omitted are white
    images: list[_Image] = []
    whole = any(not each.keyframe.is_reduced for _, each in kept)
    for number, each in sorted(kept, key=_full_and_large_first):
        size = (each.keyframe.imagelength, each.keyframe.imagewidth)
        parent = next(
            (image for image in images if _is_level(size, image.levels[0]) and _alike(each, image.series)), None
        )
        if parent is not None and not file.is_ome:
            images[images.index(parent)] = _Image(parent.series, parent.number, (*parent.pyramid, each))
            if not each.keyframe.is_reduced:
                metadata.warnings.append(
                    f"an image of {size[0]} x {size[1]} pixels is taken for a smaller level of another"
                )
        elif not (whole and each.keyframe.is_reduced):
            images.append(_Image(each, number, tuple(each.levels)))
    return sorted(images, key=lambda image: image.number)


def _full_and_large_first(numbered: tuple[int, tifffile.TiffPageSeries]) -> tuple[bool, int]:
    page = numbered[1].keyframe
    return page.is_reduced, -page.imagelength * page.imagewidth


def _alike(one: tifffile.TiffPageSeries, other: tifffile.TiffPageSeries) -> bool:
    return (
        one.dtype == other.dtype and one.axes == other.axes and one.keyframe.photometric == other.keyframe.photometric
    )


def _is_level(size: Sequence[int], full: Sequence[int]) -> bool:
    """Whether a size is a half, a quarter, ... of another: a level of a pyramid whose pages are not marked as such."""
    factor = full[0] / size[0]
    power = 2.0 ** round(np.log2(factor))
    return power >= 2 and all(abs(whole / power - part) <= 1 for whole, part in zip(full, size, strict=True))


def _scenes(
    opened: tifffile.TiffFile,
    file: Path | BinaryIO,
    image: _Image,
    metadata: TiffMetadata,
    missing: Sequence[str],
    *,
    indices: bool,
) -> list[Scene]:
    series = image.series
    colours_of = functools.partial(colours_of_page, kind=_kind(opened), indices=indices)
    colours = colours_of(series.keyframe)
    has_palettes = series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE and colours.samples == RGB
    several = has_palettes and len(series.pages) > 1
    reader = SeriesReader(file, opened, series, colours, missing, colours_of if several else None)
    coarser = _coarser_readers(opened, file, image, missing, indices=indices)
    sizes = {axis: size for axis, size in zip(reader.axes, reader.shape, strict=True) if size > 1 or axis in "YXS"}
    channels = metadata.channels(series, image.number, sizes.get("C", 1))
    if "C" not in sizes and not channels[0].name.isdecimal():
        sizes = {"C": 1, **sizes}  # tifffile leaves out an axis of one channel, and its name
    others = [axis for axis in sizes if axis not in "TZCYXSQ"]
    if len(others) > 1:
        raise ImageError(f"expected the axes T, Z, C, Y and X, got axes {series.axes} of shape {series.shape}")
    other = others[0] if others else ""
    axes = "".join(axis for axis in sizes if axis != other)
    _warn_of_orientation(series.keyframe, metadata)
    return [
        Scene(
            axes=axes,
            shape=tuple(sizes[axis] for axis in axes),
            dtype=colours.dtype,
            read=reader.region_reader({other: place} if other else {}),
            name=f"{_other_name(other)} {place}" if other else metadata.name(image.number),
            channels=channels if "C" in sizes else (),
            samples=colours.samples,
            pixel_size=metadata.pixel_size(series, image.number),
            levels=image.levels,
            coarser=tuple(each.region_reader({other: place} if other else {}) for each in coarser),
        )
        for place in range(sizes.get(other, 1))
    ]


def _coarser_readers(
    opened: tifffile.TiffFile, file: Path | BinaryIO, image: _Image, missing: Sequence[str], *, indices: bool
) -> list[SeriesReader]:
    """Return the readers of the levels after the first; none if one of them has other pages or pixels."""
    readers = []
    for level in image.pyramid[1:]:
        colours = colours_of_page(level.keyframe, kind=_kind(opened), indices=indices)
        if len(level.pages) != len(image.series.pages) or not _alike(level, image.series):
            return []
        try:
            readers.append(SeriesReader(file, opened, level, colours, missing, coarse=True))
        except ImageError:  # damage of a level that is never segmented
            return []
    return readers


def _other_name(axis: str) -> str:
    """Return the name of an axis that is none of T, Z, C, Y, X and S. Positions are phases to tifffile."""
    return "position" if axis == "P" else str(tifffile.TIFF.AXES_NAMES.get(axis, axis))


def _kind(opened: tifffile.TiffFile) -> str:
    """Return the kind of program that wrote the file, where the meaning of its pages depends on it."""
    return "lsm" if opened.is_lsm else "imagej" if opened.is_imagej else ""


def _warn_of_orientation(page: tifffile.TiffPage, metadata: TiffMetadata) -> None:
    tag = page.tags.get("Orientation")
    if tag is not None and tag.value != 1:
        metadata.warnings.append(
            f"its orientation, {int(tag.value)}, is not applied: results lie on the pixels as stored"
        )
