"""Label images of many planes: as an OME-TIFF of the axes TZYX, and as the frames of the Cell Tracking Challenge."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.io.atomic import folder_written_atomically, written_atomically

# A classic TIFF holds less than 4 GiB. What compression saves is not known before the end.
_LARGEST_CLASSIC = 2**32 - 2**25
_MOST_OF_16_BITS = 2**16 - 1


def write_label_stack(
    path: Path,
    planes: Iterable[NDArray[np.uint32]],
    *,
    shape: tuple[int, int, int, int],
    uuid: UUID,
    mpp: float | None = None,
) -> None:
    """Write a stack of label images plane by plane, as an OME-TIFF that Fiji (Bio-Formats), napari and QuPath open.

    Parameters
    ----------
    path
        Path of the file, which ends in ``.ome.tif``. An existing file is replaced, at the end.
    planes
        Label images (H, W), in the order of times and then of planes of the stack.
    shape
        Number of times, planes of a stack, rows, columns.
    uuid
        Of the file. Equal results have equal ones.
    mpp
        Pixel size in micrometres, which the file then holds.
    """
    metadata: dict[str, object] = {"axes": "TZYX", "UUID": uuid.urn}
    if mpp is not None:
        metadata |= {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
        metadata |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    size = 4 * int(np.prod(shape, dtype=np.int64))
    with (
        written_atomically(path) as file,
        tifffile.TiffWriter(file, ome=True, bigtiff=size > _LARGEST_CLASSIC) as tiff,
    ):
        tiff.write(
            iter(planes),
            shape=shape,
            dtype=np.uint32,
            photometric="minisblack",
            compression="zlib",
            software="nucleus-unet",
            metadata=metadata,
            resolution=None if mpp is None else (1e4 / mpp, 1e4 / mpp),
            resolutionunit=None if mpp is None else "CENTIMETER",
        )


def write_challenge_frames(
    folder: Path, frames: Iterable[Iterable[NDArray[np.uint32]]], *, count: int, most: int
) -> None:
    """Write label images as the Cell Tracking Challenge has segmentations without links.

    Each frame is a file, ``mask000.tif``, ``mask001.tif``, ...: a label image or, of a stack, one page for each plane.
    There is no ``res_track.txt``, because a label says nothing about the nucleus of the same label in another frame.

    Parameters
    ----------
    folder
        Folder of the sequence, such as ``01_RES``. It appears at the end, and replaces what there was.
    frames
        For each time the label images of its planes.
    count
        Number of times, which decides the digits of names.
    most
        Largest label. Beyond 65,535, the files have 32 bits in place of the 16 that the challenge knows.
    """
    dtype = np.uint16 if most <= _MOST_OF_16_BITS else np.uint32
    digits = max(3, len(str(count - 1)))
    with folder_written_atomically(folder) as temporary:
        for number, planes in enumerate(frames):
            stack = np.stack([plane.astype(dtype) for plane in planes])
            content = io.BytesIO()
            tifffile.imwrite(
                content,
                stack if len(stack) > 1 else stack[0],
                photometric="minisblack",
                compression="zlib",
                software="nucleus-unet",
            )
            (temporary / f"mask{number:0{digits}}.tif").write_bytes(content.getvalue())
