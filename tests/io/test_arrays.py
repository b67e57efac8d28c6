"""What people pass instead of a file: arrays of many libraries, and which axis of them is which."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import xarray
import zarr
from helpers.images import GREY, RGB, open_plane
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nucleus_unet.errors import ImageError
from nucleus_unet.io.source import open_image, read_image
from numpy.typing import NDArray

torch = pytest.importorskip("torch")


class Interface:
    """An array of a library that numpy does not know."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array, self.__array_interface__ = array, array.__array_interface__


def mapped(array: NDArray[Any], folder: Path) -> NDArray[Any]:
    np.save(folder / "a.npy", array)
    loaded: NDArray[Any] = np.load(folder / "a.npy", mmap_mode="r")
    return loaded


OF_LIBRARIES = {
    "numpy": lambda array, _: array,
    "torch": lambda array, _: torch.from_numpy(array.astype(np.int32)),
    "torch with a gradient": lambda array, _: torch.from_numpy(array.astype(np.float64)).requires_grad_(),
    "dask": lambda array, _: dask.array.from_array(array, chunks=16),
    "xarray": lambda array, _: xarray.DataArray(array, dims=("y", "x", "rgb")[: array.ndim]),
    "xarray without names": lambda array, _: xarray.DataArray(array),
    "xarray of dask": lambda array, _: xarray.DataArray(dask.array.from_array(array, chunks=16)),
    "zarr": lambda array, folder: zarr.create_array(folder / "a.zarr", data=array, chunks=(16,) * array.ndim),
    "interface": lambda array, _: Interface(array),
    "memory-mapped": mapped,
    "file": lambda array, folder: (mapped(array, folder), folder / "a.npy")[1],
    "open file": lambda array, folder: (mapped(array, folder), io.BytesIO((folder / "a.npy").read_bytes()))[1],
    "rows of numbers": lambda array, _: array.tolist(),
    "columns first in memory": lambda array, _: np.asfortranarray(array),
    "turned round": lambda array, _: array[::-1, ::-1].copy()[::-1, ::-1],
    "big endian": lambda array, _: array.astype(">u2"),
    "masked nowhere": lambda array, _: np.ma.masked_array(array),
}


@pytest.mark.parametrize("library", OF_LIBRARIES)
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "colours"])
def test_images_of_every_library_are_read_alike(tmp_path: Path, image: NDArray[Any], library: str) -> None:
    given_image = OF_LIBRARIES[library](image, tmp_path)
    np.testing.assert_array_equal(read_image(given_image), image)
    region = slice(3, 20), slice(5, 40)
    np.testing.assert_array_equal(open_plane(given_image).read(*region), image[region])


def test_half_precision_of_torch_is_read(tmp_path: Path) -> None:
    for dtype in torch.float16, torch.bfloat16:
        np.testing.assert_array_equal(read_image(torch.ones(4, 5).to(dtype) * 3), np.full((4, 5), 3))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(*[st.integers(1, 9)] * 3)))
def test_an_array_is_grey_or_colour_or_refused(array: NDArray[np.uint8]) -> None:
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4):
        with pytest.raises(ImageError, match="channel"):
            read_image(array)
    else:
        expected = array if array.ndim == 2 else array[..., 0 if array.shape[2] == 1 else slice(3)]
        if array.ndim == 3 and array.shape[2] == 4:
            expected = expected * (array[..., 3:] > 0)  # transparent pixels are black
        np.testing.assert_array_equal(read_image(array), expected)


@pytest.mark.parametrize("channel", [None, 0, 2])
def test_pages_of_an_array_are_never_taken_apart_by_columns(channel: int | None) -> None:
    for count in 2, 3, 5:
        with pytest.raises(
            ImageError, match=r"if channels come first, give channel_axis=0; if the first axis is a stack"
        ):
            read_image(np.stack([GREY] * count), channel=channel)


@pytest.mark.parametrize("axes", ["TZCYX", "tzcyx", "CZTXY", "YXCZT"])
def test_axes_that_are_named_are_chosen_by_name(axes: str) -> None:
    stack = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 5, 6))
    expected = stack.transpose([axes.upper().index(axis) for axis in "TZCYX"])[1, -1, 0]
    np.testing.assert_array_equal(read_image(stack, axes=axes, time=1, z=-1, channel=0), expected)


@pytest.mark.parametrize("axes", ["YX", "TYXX", "ABYX", "", "TZC", 5])
def test_axes_that_are_none_are_refused(axes: Any) -> None:
    with pytest.raises(ImageError, match="axes: expected"):
        read_image(np.zeros((4, 5, 6)), axes=axes)


def test_names_of_dimensions_and_channels_of_xarray_are_taken() -> None:
    planes = np.stack([GREY, GREY + 1, GREY + 2])
    image = xarray.DataArray(planes[None], dims=("T", "C", "Y", "X"), coords={"C": ["DAPI", "GFP", "Cy5"]})
    with pytest.raises(ImageError, match="expected one of the 3 channels 'DAPI', 'GFP', 'Cy5', got none"):
        read_image(image)
    np.testing.assert_array_equal(read_image(image, channel="GFP"), GREY + 1)
    np.testing.assert_array_equal(read_image(image, channel="rgb"), np.moveaxis(planes, 0, -1))
    np.testing.assert_array_equal(read_image(xarray.DataArray(GREY, dims=("x", "y"))), GREY.T)


def test_a_fourth_value_is_opacity() -> None:
    plane = open_plane(np.dstack([RGB, RGB[..., :1]]))
    region = slice(2, 9), slice(4, 30)
    assert plane.alpha
    np.testing.assert_array_equal(plane.read(*region), RGB[region])
    np.testing.assert_array_equal(plane.read_alpha(*region), RGB[region][..., 0])
    assert not open_plane(RGB).alpha


def test_a_group_of_zarr_is_an_image_if_it_is_ome_zarr(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", data=GREY)
    with pytest.raises(ImageError, match="got a group without multiscales"):
        open_image(group)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    np.testing.assert_array_equal(read_image(group), GREY)


@pytest.mark.parametrize("given_image", [None, b"bytes", {"a": 1}, 5, np.float64(3), np.array(["a"]), object()])
def test_what_is_no_image_is_refused(given_image: Any) -> None:
    with pytest.raises(ImageError, match="image"):
        read_image(given_image)


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_axes_of_a_file_that_says_nothing_of_them_can_be_named(tmp_path: Path, suffix: str) -> None:
    stack = np.random.default_rng(0).integers(0, 999, (2, 3, 40, 50), np.uint16)
    chosen: list[tuple[NDArray[Any], dict[str, Any]]] = [
        (stack, {"axes": "TCYX", "time": 1}),
        (stack[1], {"channel_axis": 0}),
    ]
    for saved, options in chosen:
        path = tmp_path / f"{saved.ndim}{suffix}"
        if suffix == ".npy":
            np.save(path, saved)
        else:
            zarr.save_array(path, saved)
        with pytest.raises(ImageError, match=r"axes="):
            read_image(path)
        np.testing.assert_array_equal(read_image(path, channel=1, **options), stack[1, 1])


@pytest.mark.parametrize("dims", [("y", "x", "stain"), ("y_um", "x_um", "c"), ("y", "x", "")])
def test_a_dimension_of_another_name_is_never_taken_for_colours(dims: tuple[str, ...]) -> None:
    stains = xarray.DataArray(RGB, dims=dims)
    with pytest.raises(ImageError, match=f"its dimensions are named {', '.join(dims)}"):
        read_image(stains)
    np.testing.assert_array_equal(read_image(stains, axes="YXC", channel=1), RGB[..., 1])
    named = zarr.create_array({}, data=RGB, dimension_names=dims)
    with pytest.raises(ImageError, match=f"its dimensions are named {', '.join(dims)}"):
        read_image(named)


def test_a_tensor_without_data_is_refused() -> None:
    with pytest.raises(ImageError, match="expected an array of pixels, got Tensor"):
        read_image(torch.zeros(5, 5, device="meta"))


class Mistaken:
    """An array whose regions are not what it says of itself."""

    shape, dtype = (40, 30), np.dtype(np.uint8)

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.change = change

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.change(np.ones(self.shape, self.dtype)[key])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part / 255, "got .* of float64"),
        (lambda part: part[:3], r"got \(3, 30\)"),
        (lambda part: np.ma.masked_equal(part, 1), "without a mask"),
    ],
)
def test_a_lazy_array_whose_regions_are_not_what_it_declares_is_refused(
    change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(Mistaken(change))


@pytest.mark.parametrize("kept", [100, 130, 2000])
def test_an_npy_file_that_ends_too_early_is_refused(tmp_path: Path, kept: int) -> None:
    np.save(tmp_path / "a.npy", np.tile(GREY, (3, 3)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:kept])
    with pytest.raises(ImageError, match=r"short.npy: the file is damaged or ends too early"):
        read_image(tmp_path / "short.npy")


def test_what_numpy_saves_and_is_no_array_of_numbers_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([[1, None]], dtype=object), allow_pickle=True)
    with pytest.raises(ImageError, match="got one of Python objects"):
        read_image(tmp_path / "objects.npy")
    np.savez(tmp_path / "several.npz", GREY, GREY)
    with pytest.raises(ImageError, match=r"save one array as .npy"):
        read_image(tmp_path / "several.npz")
