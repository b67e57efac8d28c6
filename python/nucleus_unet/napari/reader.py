"""Open the folder of a finished slide in napari: ``napari slide.nuclei``, or a drop on the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nucleus_unet.napari.results import is_finished, layers_of, open_results

LayerData = list[tuple[Any, dict[str, Any], str]]


def reader_of(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], LayerData] | None:
    """Return a function that reads the results of a slide; None if a path is something else.

    Parameters
    ----------
    path
        Of a folder, or several.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return read_results if paths and all(is_finished(Path(each)) for each in paths) else None


def read_results(path: str | Sequence[str]) -> LayerData:
    """Return the layers of the results of slides."""
    paths = [path] if isinstance(path, str) else path
    return [layer for each in paths for layer in layers_of(open_results(Path(each)))]
