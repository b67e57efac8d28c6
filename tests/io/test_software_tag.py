"""Pictures that this library wrote are known by their content."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from nucleus_unet.exports.overlay import write_overlay_png
from nucleus_unet.exports.tiff import write_label_tiff
from nucleus_unet.io.software_tag import is_marked

LABELS = np.eye(40, dtype=np.uint32)


def test_label_images_and_overlays_are_known_under_any_name(tmp_path: Path) -> None:
    write_label_tiff(tmp_path / "some.tif", LABELS, mpp=0.5)
    write_overlay_png(tmp_path / "other.png", np.eye(40, dtype=np.uint8), LABELS)
    assert is_marked(tmp_path / "some.tif")
    assert is_marked(tmp_path / "other.png")


def test_an_overlay_is_a_png_as_others_read_it(tmp_path: Path) -> None:
    from PIL import Image

    write_overlay_png(tmp_path / "a.png", np.eye(40, dtype=np.uint8), LABELS)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["Software"] == "nucleus-unet"
        assert np.array_equal(np.asarray(picture), imagecodecs.imread(str(tmp_path / "a.png")))


def test_images_of_others_are_not_known_even_if_they_name_this_library(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS, description="from C:/nucleus-unet/a.tif", software="Fiji")
    tifffile.imwrite(tmp_path / "b.tif", LABELS, description="nucleus-unet", software="after nucleus-unet 3")
    (tmp_path / "c.png").write_bytes(bytes(imagecodecs.png_encode(LABELS.astype(np.uint8))) + b"nucleus-unet")
    assert not any(map(is_marked, tmp_path.iterdir()))


@pytest.mark.parametrize("content", [b"", b"II*\0nucleus-unet", b"MM\0*\xff\xff\xff\xffnucleus-unet", b"\x89PNG"])
def test_damaged_files_are_not_known_and_are_no_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert not is_marked(tmp_path / "a.tif")
    assert not is_marked(tmp_path / "missing.tif")
