"""What can be segmented of the files that people have, and what to do with the others."""

from __future__ import annotations

from pathlib import Path

from nucleus_unet.io.pictures import SUFFIXES
from nucleus_unet.io.scanners import SCANNER_SUFFIXES
from nucleus_unet.io.source import is_slide
from nucleus_unet.io.zarr import is_zarr

# Suffixes of formats of microscopes and cameras that nothing here reads, with a space around each.
_TO_CONVERT = (
    " .afi .avif .bdv .dv .ets .exr .flex .gif .h5 .hdf5 .heic .htd .ics .ids .ims .ipw .isyntax .jxl .jxr .lei .lif"
    " .lof .mnc .mrc .mvd2 .nd .nd2 .nii .nrrd .oib .oif .oir .pgm .pic .pnm .poir .ppm .psd .r3d .sdt .sld .sldy .spe"
    " .tga .tvips .vsi .xdce .xlif .zvi "
)
_ZARR_ZIPS = (".ozx", ".zarr.zip")
_SLIDE = "that `nucleus-unet slide` reads"
_CONVERT = "to be converted to OME-TIFF first, for example with Fiji"
_PART = "parts of .mrxs slides"
_SEVERAL = "in several files each: name one file of each to `nucleus-unet slide`"
UNKNOWN = "of no known image format"
EMPTY = "without content"


def why_not(path: Path) -> str | None:
    """Return why `Segmenter.predict` cannot read a file or folder of this kind; None if it may.

    Examples
    --------
    >>> why_not(Path("a.nd2"))
    '.nd2, to be converted to OME-TIFF first, for example with Fiji'
    """
    suffix = path.suffix.lower()
    if path.is_dir() and is_zarr(path):
        return f"zarr images {_SLIDE}"
    if suffix in SUFFIXES:
        return None
    if suffix in SCANNER_SUFFIXES:
        return f"{suffix} {_SLIDE}"
    if path.name.lower().endswith(_ZARR_ZIPS):
        return f"zarr images {_SLIDE}"
    return _of_others(path)


def why_no_slide(path: Path) -> str | None:
    """Return why `nucleus_unet.io.source.open_slide` cannot read a file of this kind; None if it may."""
    if is_slide(path):
        return None
    if path.suffix.lower() in SCANNER_SUFFIXES:
        return f"{path.suffix.lower()} {_SEVERAL}"
    return _of_others(path)


def _of_others(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix and f" {suffix} " in _TO_CONVERT:
        return f"{suffix}, {_CONVERT}"
    return _PART if path.parent.name and path.parent.with_suffix(".mrxs").exists() else UNKNOWN


def advice(path: Path) -> str | None:
    """Return what to do with a file that `Segmenter.predict` cannot read, as a clause; None if it may read it."""
    reason = why_not(path)
    if reason is None or not reason.endswith((_SLIDE, _CONVERT)):
        return None
    if reason.endswith(_SLIDE):
        return f"expected a picture that is read whole; `nucleus-unet slide {path} --out FOLDER` reads this format"
    return "this format is not read: convert it to OME-TIFF first, for example with Fiji (File > Save As > OME-TIFF)"
