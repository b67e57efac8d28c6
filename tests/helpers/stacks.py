"""Images of many planes: hyperstacks and plates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray

from helpers.images import draw_discs

SHAPE = (48, 64)
NAMES = ["DAPI", "GFP"]


def draw_stack(times: int = 20, planes: int = 3) -> NDArray[np.uint8]:
    """Draw a hyperstack, TZCYX: discs that move with time, each of them in one of two channels and bright in one plane.

    The brightness grows with time, so that the levels of one plane are not those of another.
    """
    stack = np.zeros((times, planes, 2, *SHAPE), np.uint8)
    for time in range(times):
        for plane in range(planes):
            strength = (0.4 + 0.6 * time / times) * (1 if plane == time % planes else 0.5)
            for channel, column in enumerate((18, 44)):
                drawn = draw_discs(SHAPE, [(16 + time % 12, column, 7)])
                stack[time, plane, channel] = (drawn * strength).astype(np.uint8)
    return stack


def write_hyperstack(path: Path, stack: NDArray[Any], kind: str, *, mpp: float = 0.5) -> Path:
    """Write a hyperstack TZCYX with the metadata of ``OME`` or ``ImageJ``."""
    if kind == "OME":
        path = path.with_suffix(".ome.tif")
        size = {f"PhysicalSize{axis}": mpp for axis in "XY"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
        tifffile.imwrite(path, stack, metadata={"axes": "TZCYX", "Channel": {"Name": NAMES}, **size})
    else:
        metadata = {"axes": "TZCYX", "unit": "um"}
        tifffile.imwrite(path, stack, imagej=True, metadata=metadata, resolution=(1 / mpp, 1 / mpp))
    return path


def write_plate(folder: Path, wells: dict[str, list[NDArray[Any]]]) -> Path:
    """Write a plate as OME-Zarr 0.4 has it: for each well, such as ``B/03``, its fields, (H, W)."""
    plate = zarr.open_group(folder, mode="w", zarr_format=2)
    rows, columns = (sorted({well.split("/")[part] for well in wells}) for part in (0, 1))
    plate.attrs["plate"] = {
        "version": "0.4",
        "rows": [{"name": name} for name in rows],
        "columns": [{"name": name} for name in columns],
        "wells": [{"path": well} for well in wells],
    }
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    dataset = {"path": "0", "coordinateTransformations": scale}
    for path, fields in wells.items():
        well = plate.create_group(path)
        well.attrs["well"] = {"version": "0.4", "images": [{"path": str(number)} for number in range(len(fields))]}
        for number, pixels in enumerate(fields):
            field = well.create_group(str(number))
            field.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [dataset]}]
            field.create_array("0", shape=pixels.shape, dtype=pixels.dtype, chunks=(32, 32))[...] = pixels
    return folder
