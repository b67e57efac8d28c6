"""`predict` and `predict_slide` see the same pixels, whatever the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.images import draw_discs
from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray
from PIL import Image

GREY = draw_discs((100, 131), [(30, 40, 8), (70, 100, 8), (60, 20, 7)])
COLOURS = np.dstack([235 - GREY // 2, 235 - GREY, 235 - GREY // 3]).astype(np.uint8)
RAMP = np.stack([np.arange(255, -1, -1) * 257] * 3).astype(np.uint16)


def _tiff(pixels: NDArray[Any], **options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, pixels, **{"metadata": None, **options})


FILES: dict[str, Callable[[Path], None]] = {
    "grey.tif": _tiff(GREY, tile=(32, 32), compression="zlib"),
    "white.tif": _tiff(255 - GREY, photometric="miniswhite", rowsperstrip=7),
    "palette.tif": _tiff(255 - GREY, photometric="palette", colormap=RAMP),
    "inks.tif": lambda path: Image.fromarray(COLOURS).convert("CMYK").save(path),
    "lab.tif": lambda path: Image.fromarray(COLOURS).convert("YCbCr").save(path),
    "inks.jpg": lambda path: Image.fromarray(COLOURS).convert("CMYK").save(path, quality=95),
    "palette.png": lambda path: Image.fromarray(COLOURS).quantize(16).save(path),
    "opacity.png": lambda path: Image.fromarray(np.dstack([COLOURS, 255 - GREY * 0])).save(path),
    "float.tif": _tiff(GREY.astype(np.float16)),
    "signed.tif": _tiff(GREY.astype(np.int16) - 99),
    "array.npy": lambda path: np.save(path, GREY.astype(">u4")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_slide_of_any_file_has_the_labels_of_the_image(segmenter: Segmenter, tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    expected = segmenter.predict(tmp_path / name)
    assert len(expected) >= 2
    result = segmenter.predict_slide(tmp_path / name, out=tmp_path / "out", tissue=False)
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), expected.labels)


def test_what_predict_asks_about_a_slide_asks_about_too(segmenter: Segmenter, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY] * 3), imagej=True, metadata={"axes": "CYX"})
    for call in (segmenter.predict, lambda path: segmenter.predict_slide(path, out=tmp_path / "out")):
        with pytest.raises(ImageError, match="expected one of the 3 channels '0', '1', '2', got none"):
            call(tmp_path / "a.tif")


def test_a_file_of_several_is_never_known_again_by_itself(segmenter: Segmenter, tmp_path: Path) -> None:
    marks = [f"urn:uuid:{number}1111111-1111-1111-1111-111111111111" for number in range(2)]
    places = "".join(
        f'<TiffData FirstC="{number}" IFD="0" PlaneCount="1"><UUID FileName="{number}.ome.tif">{mark}</UUID></TiffData>'
        for number, mark in enumerate(marks)
    )
    for number, mark in enumerate(marks):
        description = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{mark}"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="131" SizeY="100" SizeC="2" SizeZ="1" '
            f'SizeT="1"><Channel ID="Channel:0:0"/><Channel ID="Channel:0:1"/>{places}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / f"{number}.ome.tif", GREY, description=description, metadata=None)
    call: dict[str, Any] = {"out": tmp_path / "out", "channel": 1, "tissue": False}
    segmenter.predict_slide(tmp_path / "0.ome.tif", **call)
    content = (tmp_path / "1.ome.tif").read_bytes()
    (tmp_path / "1.ome.tif").write_bytes(content.replace(GREY.tobytes(), (255 - GREY).tobytes()))
    os.utime(tmp_path / "1.ome.tif")
    with pytest.raises(SettingsError, match="plan"):
        segmenter.predict_slide(tmp_path / "0.ome.tif", **call)
