"""Read ``.npy`` files, which are memory-mapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nucleus_unet.errors import ImageError
from nucleus_unet.io.arrays import open_array
from nucleus_unet.io.scene import OpenedFile


def open_file(file: Path | BinaryIO, *, axes: str | None = None, channel_axis: int | None = None) -> OpenedFile:
    """Open a file of one array, as `nucleus_unet.io.arrays.open_array` takes it.

    Raises
    ------
    ImageError
        If the file is damaged, or holds pickled objects.
    """
    try:
        if isinstance(file, Path):
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        else:
            file.seek(0)
            array = np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:  # with words about memory maps
        if "object" in str(error).lower():
            raise ImageError("expected an array of numbers, got one of Python objects") from error
        raise ImageError("the file is damaged or ends too early: save the array again") from error
    return replace(open_array(array, axes=axes, channel_axis=channel_axis), format="NumPy")
