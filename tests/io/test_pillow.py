"""Images of Pillow: colours are what the mode says."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers.images import GREY, RGB, open_plane
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import read_image
from PIL import Image

PICTURE = Image.fromarray(RGB)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "HSV", "RGBX", "RGBA", "RGBa", "PA"])
def test_colours_are_looked_up_or_converted(mode: str) -> None:
    given = PICTURE.convert("P").convert("PA") if mode == "PA" else PICTURE.convert("RGBA" if mode == "RGBa" else mode)
    np.testing.assert_array_equal(read_image(given), np.asarray(given.convert("RGB")))
    if mode in ("RGBA", "PA"):
        assert open_plane(given).alpha


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "F", "I", "I;16"])
def test_grey_values_stay_grey(mode: str) -> None:
    given = PICTURE.convert("L")
    if mode in ("LA", "La"):
        given = given.convert("LA").convert(mode)
    elif mode == "I;16":
        given = Image.fromarray(GREY)
    else:
        given = given.convert(mode)
    expected = np.asarray(given.convert("LA"))[..., 0] if mode in ("LA", "La") else np.asarray(given)
    np.testing.assert_array_equal(read_image(given), expected)
    assert open_plane(given).alpha == (mode in ("LA", "La"))


def test_a_transparent_colour_of_a_palette_is_opacity() -> None:
    content = io.BytesIO()
    PICTURE.quantize(16).save(content, "PNG", transparency=3)
    given = Image.open(content)
    expected = np.asarray(given.convert("RGBA"))
    plane = open_plane(given)
    whole = slice(0, 30), slice(0, 40)
    np.testing.assert_array_equal(plane.read(*whole), expected[..., :3] * (expected[..., 3:] > 0))
    np.testing.assert_array_equal(plane.read_alpha(*whole), expected[..., 3])


def test_a_file_that_pillow_opened_and_that_is_damaged_is_refused() -> None:
    content = io.BytesIO()
    PICTURE.save(content, "JPEG")
    with pytest.raises(ImageError, match="image: Pillow cannot read it"):
        read_image(Image.open(io.BytesIO(content.getvalue()[:-300])))
