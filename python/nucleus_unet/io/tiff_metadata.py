"""What TIFF files say of their images: names and kinds of channels, pixel size, files that belong together."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree

import tifffile

from nucleus_unet.io.pixel_size import micrometres_in, plausible_pixel_size, size_of_dots, size_of_magnification
from nucleus_unet.io.scene import Channel, numbered


class TiffMetadata:
    """The metadata of a TIFF file. What is malformed is left out and named in ``warnings``."""

    def __init__(self, file: tifffile.TiffFile, warnings: list[str]) -> None:
        self._file, self.warnings = file, warnings
        self.ome = self._read_ome()

    def channels(self, series: tifffile.TiffPageSeries, number: int, count: int) -> tuple[Channel, ...]:
        """Return the ``count`` channels of the image with this number."""
        names: list[str | None] = []
        colours: list[str | None] = []
        file = self._file
        try:
            if (pixels := self._ome_pixels(number)) is not None:
                found = list(pixels.iterfind("{*}Channel"))
                names = [each.get("Name") for each in found]
                colours = [_ome_colour(each.get("Color")) for each in found]
            elif file.is_imagej and file.imagej_metadata:
                labels = file.imagej_metadata.get("Labels")
                names = _imagej_labels(labels, count) if isinstance(labels, list) else []
            elif file.is_qpi:
                pages = [page for page in series.pages if page is not None]
                names = [_qpi_name(page) for page in pages]
            elif file.is_micromanager and file.micromanager_metadata:
                summary: Any = file.micromanager_metadata.get("Summary", {})
                names = list(map(str, summary.get("ChNames", [])))
            elif file.is_lsm and file.lsm_metadata:
                colors: Any = file.lsm_metadata.get("ChannelColors") or {}
                names = list(map(str, colors.get("ColorNames", [])))
        except Exception as error:  # metadata may have any structure
            self.warnings.append(f"the names of its channels cannot be read ({type(error).__name__}: {error})")
        if len(names) != count:
            return numbered(count)
        colours = colours if len(colours) == count else [None] * count
        return tuple(
            Channel((name or "").strip() or str(place), colour=colour)
            for place, (name, colour) in enumerate(zip(names, colours, strict=True))
        )

    def name(self, number: int) -> str:
        """Return the name of the OME image with this number. Empty if it has none."""
        images = [] if self.ome is None else list(self.ome.iterfind("{*}Image"))
        return images[number].get("Name", "") if number < len(images) else ""

    def pixel_size(self, series: tifffile.TiffPageSeries, number: int) -> float | None:
        """Return the micrometres per pixel. None if the file does not contain a plausible value."""
        try:
            return self._pixel_size(series, number)
        except Exception as error:  # metadata may have any structure
            self.warnings.append(f"its pixel size cannot be read ({type(error).__name__}: {error})")
            return None

    def other_files(self) -> list[str]:
        """Return the names of the files of a multi-file OME-TIFF, without this one where the metadata know it."""
        if self.ome is None:
            return []
        own = self.ome.get("UUID")
        named = {
            each.get("FileName", "") for each in self.ome.iterfind(".//{*}UUID") if own is None or each.text != own
        }
        return sorted(named - {""})

    def _read_ome(self) -> ElementTree.Element | None:
        text = self._file.ome_metadata if self._file.is_ome else None
        if not text:
            return None
        try:
            return ElementTree.fromstring(text)
        except ElementTree.ParseError:  # `open_tiff` warned
            return None

    def image_numbers(self) -> list[int]:
        """Return, for each series of the file, the number of its image in the metadata.

        They differ if no file of an image is there, because tifffile then leaves its series out.
        """
        series = self._file.series
        images = [] if self.ome is None else list(self.ome.iterfind("{*}Image"))
        if len(images) <= len(series):
            return list(range(len(series)))
        numbers: list[int] = []
        for each in series:
            page = next(page for page in each.pages if page is not None)
            after = range(numbers[-1] + 1 if numbers else 0, len(images))
            numbers.append(next((number for number in after if self._holds(images[number], page)), len(images)))
        return numbers

    def _holds(self, image: ElementTree.Element, page: Any) -> bool:
        """Whether a page is one of those that the metadata name for an image."""
        own = self.ome.get("UUID") if self.ome is not None else None
        for data in image.iterfind("{*}Pixels/{*}TiffData"):
            file = data.find("{*}UUID")
            is_here = file is None or file.text == own or file.get("FileName") == self._file.filename
            name = self._file.filename if is_here or file is None else PurePath(file.get("FileName", "")).name
            first, count = int(data.get("IFD", "0")), int(data.get("PlaneCount", "1" if "IFD" in data.attrib else "0"))
            if name == page.parent.filename and first <= page.index and (not count or page.index < first + count):
                return True
        return False

    def _ome_pixels(self, number: int) -> ElementTree.Element | None:
        if self.ome is None:
            return None
        found = list(self.ome.iterfind("{*}Image/{*}Pixels"))
        return found[number] if number < len(found) else None

    def _pixel_size(self, series: tifffile.TiffPageSeries, number: int) -> float | None:
        file, page = self._file, series.keyframe
        if (pixels := self._ome_pixels(number)) is not None:
            unit = micrometres_in(pixels.get("PhysicalSizeXUnit", "µm"))
            if (size := plausible_pixel_size(pixels.get("PhysicalSizeX"), unit)) is not None or unit == 0:
                return size
        elif file.is_svs:
            text = page.description
            for pattern, read in (
                (r"MPP\s*=\s*([0-9.,]+)", plausible_pixel_size),
                (r"AppMag\s*=\s*([0-9.,]+)", size_of_magnification),
            ):
                if (match := re.search(pattern, text)) and (size := read(match.group(1).rstrip(".,"))) is not None:
                    return size
        elif file.is_imagej and file.imagej_metadata and (unit_name := str(file.imagej_metadata.get("unit", ""))):
            resolution = page.tags.get("XResolution")
            if resolution is not None and resolution.value[0]:
                return plausible_pixel_size(resolution.value[1] / resolution.value[0], micrometres_in(unit_name))
            return None
        elif file.is_lsm and file.lsm_metadata:
            return plausible_pixel_size(float(file.lsm_metadata.get("VoxelSizeX", 0)), 1e6)
        elif file.is_stk and file.stk_metadata:
            size = file.stk_metadata.get("XCalibration")
            return plausible_pixel_size(float(size[0] if isinstance(size, tuple) else size or 0), 1.0)
        elif file.is_micromanager and file.micromanager_metadata:
            summary: Any = file.micromanager_metadata.get("Summary", {})
            if size := plausible_pixel_size(summary.get("PixelSize_um")):
                return size
        return _size_of_tags(page)


def _size_of_tags(page: Any) -> float | None:
    tag, unit = page.tags.get("XResolution"), page.tags.get("ResolutionUnit")
    micrometres = {2: 25_400.0, 3: 10_000.0}.get(2 if unit is None else int(unit.value), 0.0)
    if tag is None or not micrometres or not tag.value[1]:
        return None
    return size_of_dots(tag.value[0] / tag.value[1], micrometres)


def _ome_colour(text: str | None) -> str | None:
    """Return ``#RRGGBB`` from OME's signed number RGBA."""
    if text is None or not re.fullmatch(r"-?[0-9]+", text):
        return None
    return f"#{(int(text) & 0xFFFFFFFF) >> 8:06X}"


def _imagej_labels(labels: list[str], count: int) -> list[str | None]:
    """Return the names of channels from ImageJ's labels of slices, of which channels run fastest."""
    return list(labels[:count]) if len(labels) >= count else []


def _qpi_name(page: Any) -> str | None:
    return ElementTree.fromstring(page.description).findtext(".//Name")
