"""Which channels of a source are measured, and what their columns are called."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.source import ImageSource, open_image
from nucleus_unet.measures.channels import channel_planes, check_measurable, column_names
from nucleus_unet.measures.settings import MeasureSettings


def named(path: Path, names: list[str]) -> Path:
    pixels = np.arange(len(names) * 12, dtype=np.uint16).reshape(len(names), 3, 4)
    tifffile.imwrite(
        path, pixels, ome=True, photometric="minisblack", metadata={"axes": "CYX", "Channel": {"Name": names}}
    )
    return path


def planes_of(source: ImageSource, channel: int | str | None) -> dict[str, Plane]:
    selection = Selection(channel=channel)
    return channel_planes(source, selection, selection.places(source)[0])


def test_every_named_channel_of_a_file_is_read_on_its_own(tmp_path: Path) -> None:
    with open_image(named(tmp_path / "a.ome.tif", ["DAPI", "CD3 (Opal 520)", "Ki-67"])) as source:
        planes = planes_of(source, "DAPI")
        assert list(planes) == ["DAPI", "CD3_Opal_520", "Ki_67"]
        assert [int(source.read(plane)[0, 0]) for plane in planes.values()] == [0, 12, 24]


def test_a_single_channel_keeps_its_name(tmp_path: Path) -> None:
    with open_image(named(tmp_path / "a.ome.tif", ["DAPI"])) as source:
        assert list(planes_of(source, None)) == ["DAPI"]


def test_channels_of_one_name_stay_apart(tmp_path: Path) -> None:
    with open_image(named(tmp_path / "a.ome.tif", ["GFP", "GFP", "???"])) as source:
        assert list(planes_of(source, 0)) == ["GFP", "GFP_1", "channel"]


def test_channels_without_names_have_numbers() -> None:
    with open_image(np.zeros((5, 6, 2), np.uint8), channel_axis=2) as source:
        assert list(planes_of(source, 0)) == ["channel_0", "channel_1"]


def test_channels_are_measured_at_the_page_that_is_chosen(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 12, dtype=np.uint16).reshape(2, 3, 3, 4)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", metadata={"axes": "QCYX"})
    selection = Selection(z=1, channel=2)
    with open_image(tmp_path / "a.tif") as source:
        planes = channel_planes(source, selection, selection.places(source)[0])
        assert [int(source.read(plane)[0, 0]) for plane in planes.values()] == [36, 48, 60]


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 3), (5, 6, 4)])
def test_grey_and_colour_images_are_one_channel(shape: tuple[int, ...]) -> None:
    with open_image(np.zeros(shape, np.uint8)) as source:
        (plane,) = planes_of(source, None).values()
        pixels = source.read(plane)
    expected = ["grey"] if pixels.ndim == 2 else ["red", "green", "blue"]
    assert [name for name, _ in column_names("", pixels)] == expected


def test_stains_of_a_grey_image_are_refused_before_the_work() -> None:
    settings = MeasureSettings(groups=("stain",), expand=None, neighbour_radius=1, mpp=None)
    with (
        open_image(np.zeros((5, 6), np.uint8)) as source,
        pytest.raises(SettingsError, match="measure: stain needs an image of red, green and blue"),
    ):
        check_measurable(planes_of(source, None).values(), settings)


def test_textures_without_scikit_image_name_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skimage.feature", None)
    settings = MeasureSettings(groups=("texture",), expand=None, neighbour_radius=1, mpp=None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[texture\]'"):
        check_measurable([], settings)
