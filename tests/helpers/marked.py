"""Images of dim and bright discs, and marks of them in the forms of QuPath, napari and tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.images import draw_discs

PLACES = [(20, 20), (20, 60), (20, 100), (60, 20), (60, 60), (60, 100)]
BRIGHTNESS = [170, 230, 175, 235, 180, 225]
CLASSES = ["dim", "bright", "dim", "bright", "dim", "bright"]


def image(seed: int = 0) -> NDArray[np.uint8]:
    """Six discs in 80 x 120 pixels: of `BRIGHTNESS` and a little noise, around `PLACES`."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((80, 120), np.float64)
    for (row, column), brightness in zip(PLACES, BRIGHTNESS, strict=True):
        disc = draw_discs((80, 120), [(row, column, 8)]) > 100
        drawn[disc] = brightness
    noisy = drawn + rng.normal(0, 4, drawn.shape) * (drawn > 0)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


def feature(
    kind: str, coordinates: Any, name: str | None, *, object_type: str = "annotation", **properties: Any
) -> dict[str, Any]:
    """A feature as QuPath exports it."""
    classification = {} if name is None else {"classification": {"name": name, "color": [200, 0, 0]}}
    geometry = {"type": kind, "coordinates": coordinates}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"objectType": object_type, **classification, **properties},
    }


def write_points(path: Path, classes: Sequence[str] = CLASSES) -> Path:
    """Annotations of points as QuPath exports them, one for each class."""
    features = []
    for name in dict.fromkeys(classes):
        places = [[c + 0.5, r + 0.5] for (r, c), each in zip(PLACES, classes, strict=True) if each == name]
        features.append(feature("MultiPoint", places, name))
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    path.write_text("\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path
