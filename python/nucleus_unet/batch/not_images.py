"""Why files of a folder are no images that can be read, and what to do with them."""

from __future__ import annotations

from pathlib import Path

from nucleus_unet.io.file_facts import is_image
from nucleus_unet.io.formats import SUFFIXES

# Suffixes of formats of microscopes and cameras that nothing here reads, with a space around each.
_TO_CONVERT = (
    " .afi .avif .bdv .dv .ets .exr .flex .h5 .hdf5 .heic .htd .ics .ids .ims .ipw .isyntax .jxl .jxr .lei"
    " .mnc .mrc .mvd2 .nd .nii .nrrd .oib .oif .oir .pgm .pic .pnm .poir .ppm .psd .r3d .sdt .sld .sldy .spe"
    " .tga .tvips .vsi .xdce .xlif .zvi "
)
_CONVERT = "to be converted to OME-TIFF first, for example with Fiji"
_PART = "parts of .mrxs slides"
_SEVERAL = "in several files each: name one file of each"
UNKNOWN = "of no known image format"
EMPTY = "without content"
OF_A_SET = "further files of an OME-TIFF, which is read from its first file"


def why_not(path: Path) -> str | None:
    """Return why a file or folder in a searched folder is no image; None if it may be one.

    Examples
    --------
    >>> why_not(Path("a.oib"))
    '.oib, to be converted to OME-TIFF first, for example with Fiji'
    """
    suffix = path.suffix.lower()
    if is_image(path):
        return None
    if suffix == ".zip":
        return f"{suffix}: name it to read it as Zarr"
    if suffix in SUFFIXES and path.is_file():
        return f"{suffix} {_SEVERAL}"
    if suffix and f" {suffix} " in _TO_CONVERT:
        return f"{suffix}, {_CONVERT}"
    return _PART if path.parent.name and path.parent.with_suffix(".mrxs").exists() else UNKNOWN
