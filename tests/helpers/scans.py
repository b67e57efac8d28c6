"""Slides as scanners write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

_XML = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:00000000-0000-4000-8000-000000000001">
<collection name="c" uuid="urn:uuid:00000000-0000-4000-8000-000000000002" sizeX="{across}" sizeY="{down}">
{images}</collection></scn>"""
_IMAGE = """<image name="{name}" uuid="urn:uuid:00000000-0000-4000-8000-00000000000{number}">
<creationDate>2012-01-01T00:00:00Z</creationDate><device model="Leica SCN400;Leica SCN" version="1.4.0"/>
<pixels sizeX="{width}" sizeY="{height}"><dimension sizeX="{width}" sizeY="{height}" r="0" ifd="{ifd}"/></pixels>
<view sizeX="{across}" sizeY="{down}" offsetX="{left}" offsetY="{top}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings><illuminationSettings>
<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>
</illuminationSettings></scanSettings></image>
"""


def write_scn(
    path: Path,
    colours: NDArray[np.uint8],
    *,
    origin: tuple[int, int] = (1024, 1536),
    canvas: tuple[int, int] = (3072, 4096),
    nanometres: int = 500,
) -> Path:
    """Write one scanned area, whose corner lies at ``origin`` of a canvas, as Leica's scanners do: with bounds."""
    height, width = colours.shape[:2]
    macro = np.full((canvas[0] // 16, canvas[1] // 16, 3), 245, np.uint8)
    down, across = (side * nanometres for side in canvas)
    whole = {"width": macro.shape[1], "height": macro.shape[0], "across": across, "down": down, "left": 0, "top": 0}
    area = {"width": width, "height": height, "across": width * nanometres, "down": height * nanometres}
    place = {"left": origin[1] * nanometres, "top": origin[0] * nanometres}
    images = _IMAGE.format(name="macro", number=3, ifd=0, objective=0.60833, **whole)
    images += _IMAGE.format(name="main", number=4, ifd=1, objective=20, **area, **place)
    text = _XML.format(across=across, down=down, images=images)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(macro, tile=(64, 64), photometric="rgb", description=text, metadata=None, software=None)
        file.write(colours, tile=(256, 256), photometric="rgb", metadata=None, software=None)
    return path
