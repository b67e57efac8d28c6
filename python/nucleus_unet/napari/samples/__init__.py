"""Sample images for napari: three of the 2018 Data Science Bowl, in the public domain (CC0 1.0; BBBC038v1).

The model was not trained on them.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from nucleus_unet.io.source import read_image


def fluorescence() -> list[tuple[Any, dict[str, Any], str]]:
    """Return 43 nuclei under fluorescence."""
    return _sample("fluorescence_small")


def crowded_fluorescence() -> list[tuple[Any, dict[str, Any], str]]:
    """Return 131 nuclei under fluorescence, many of which touch."""
    return _sample("fluorescence_crowded")


def stained_tissue() -> list[tuple[Any, dict[str, Any], str]]:
    """Return 23 nuclei of tissue under haematoxylin and eosin."""
    return _sample("stained_tissue")


def _sample(name: str) -> list[tuple[Any, dict[str, Any], str]]:
    with as_file(files(__name__) / f"{name}.png") as path:
        pixels = read_image(path)
    return [(pixels, {"name": name, "rgb": pixels.ndim == 3}, "image")]
