"""Annotations as QuPath and ImageJ write them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import roifile

SHAPE = (40, 50)
GREY = (np.arange(2000) % 251).astype(np.uint8).reshape(SHAPE)


def box(left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    """A rectangle as GeoJSON geometry, closed, as QuPath writes it."""
    corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return {"type": "Polygon", "coordinates": [corners]}


def feature(geometry: Any, kind: str = "detection", of_class: str | None = None, **more: Any) -> dict[str, Any]:
    """A feature as QuPath 0.5 writes it. ``nucleus`` is the nucleus of a cell."""
    properties: dict[str, Any] = {"objectType": kind}
    if of_class is not None:
        properties["classification"] = {"name": of_class, "color": [180, 180, 180]}
    nucleus = {"nucleusGeometry": more.pop("nucleus")} if "nucleus" in more else {}
    identity = "0f2bb4c2-2a26-4bd2-9a3e-58d0e5c6b3b1"
    return {"type": "Feature", "id": identity, "geometry": geometry, **nucleus, "properties": properties | more}


def collection(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def roi(name: str, vertices: Any, **more: Any) -> bytes:
    """A polygon of ImageJ."""
    made = roifile.ImagejRoi.frompoints(np.asarray(vertices), name=name)
    for attribute, value in more.items():
        setattr(made, attribute, value)
    return bytes(made.tobytes())


def rois(**files: bytes) -> bytes:
    """A zip as the ROI Manager writes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.roi", content)
    return buffer.getvalue()


def write_set(folder: Path, **files: bytes) -> Path:
    """Write ``a.png`` of SHAPE, and files beside it by their names, with `__` for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.png").write_bytes(bytes(imagecodecs.png_encode(GREY)))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder
