"""Maps of an image do not depend on how it is cut into tiles."""

import numpy as np
import pytest
import torch
from conftest import lively
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.devices import Precision, autocast
from nucleus_unet.inference.predict import predict_maps, quantise_output
from nucleus_unet.inference.tiles import Tile
from nucleus_unet.model.network import OFFSET_SCALE, Network, NetworkConfig
from nucleus_unet.targets import quantise
from numpy.typing import NDArray

PRECISIONS = [
    "float32",
    pytest.param(
        "bfloat16",
        marks=pytest.mark.skipif(
            not torch.cpu._is_avx512_bf16_supported(), reason="this CPU does not compute in bfloat16"
        ),
    ),
]


PLAIN = lively(NetworkConfig(form="plain", width=8, depth=2, stem_stride=2))
LITE = lively(NetworkConfig(decoder=(16, 16, 8, 8)))


def picture(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).random(shape, dtype=np.float32)


def whole(network: Network, image: NDArray[np.float32], precision: Precision) -> NDArray[np.uint8]:
    """One direct call of the network on the whole image."""
    colours = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
    # 32 is a multiple of every stride used here.
    below, right = (32 - size if size < 32 else -size % network.stride for size in image.shape[:2])
    mode = "symmetric" if min(image.shape[:2]) < 32 else "edge"
    padded = np.pad(colours, ((0, below), (0, right), (0, 0)), mode=mode)
    with torch.inference_mode(), autocast(torch.device("cpu"), precision):
        output = network(torch.from_numpy(padded).permute(2, 0, 1)[None])
    return quantise_output(output)[0, : image.shape[0], : image.shape[1]].numpy()


def tiled(
    network: Network, image: NDArray[np.float32], tile: int, *, batch_size: int = 1, precision: Precision = "float32"
) -> NDArray[np.uint8]:
    return predict_maps(
        network,
        lambda rows, columns: image[rows, columns],
        image.shape[:2],
        tile=tile,
        batch_size=batch_size,
        precision=precision,
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiled_is_whole_to_the_byte(precision: Precision) -> None:
    image = picture(147, 181, 3)
    expected = whole(PLAIN, image, precision)
    assert (np.ptp(expected, axis=(0, 1)) > 50).all()
    for tile, batch_size in (104, 5), (111, 1), (128, 3), (168, 2), (1024, 1):
        result = tiled(PLAIN, image, tile, batch_size=batch_size, precision=precision)
        np.testing.assert_array_equal(result, expected, err_msg=f"tile {tile}, batch size {batch_size}")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_tiled_is_whole_to_the_byte_in_the_lite_form(precision: Precision) -> None:
    image = picture(250, 331)
    expected = whole(LITE, image, precision)
    for tile in 272, 304:
        np.testing.assert_array_equal(tiled(LITE, image, tile, batch_size=2, precision=precision), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 9), (8, 8), (31, 40)])
def test_images_smaller_than_32_pixels_are_mirrored_up_to_it(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    np.testing.assert_array_equal(tiled(PLAIN, image, 104), whole(PLAIN, image, "float32"))


@pytest.mark.parametrize("shape", [(32, 33), (104, 105), (105, 104)])
def test_sizes_that_are_no_multiples_of_the_stride_are_padded_at_their_far_edges(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    np.testing.assert_array_equal(tiled(PLAIN, image, 104), whole(PLAIN, image, "float32"))


def test_a_grey_image_is_one_of_three_equal_colours() -> None:
    image = picture(40, 50)
    np.testing.assert_array_equal(tiled(PLAIN, image, 104), tiled(PLAIN, np.stack([image] * 3, axis=-1), 104))


def test_no_tile_is_read_twice_and_none_beyond_the_image() -> None:
    image, read = picture(150, 150), []

    def reading(rows: slice, columns: slice) -> NDArray[np.float32]:
        assert 0 <= rows.start < rows.stop <= 150
        assert 0 <= columns.start < columns.stop <= 150
        read.append((rows.start, columns.start))
        return image[rows, columns]

    predict_maps(PLAIN, reading, (150, 150), tile=104)
    assert len(read) == len(set(read)) > 1


def test_batches_are_shown_to_who_tracks_them() -> None:
    seen: list[int] = []

    def track(batches: list[list[Tile]]) -> list[list[Tile]]:
        seen.extend(len(batch) for batch in batches)
        return batches

    image = picture(104, 168)
    predict_maps(PLAIN, lambda r, c: image[r, c], (104, 168), tile=104, batch_size=2, track=track)
    assert sum(seen) > len(seen) > 1
    assert max(seen) == 2


def test_a_tile_too_small_for_the_network_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected at least 104 pixels"):
        tiled(PLAIN, picture(150, 150), 96)


def test_maps_are_rounded_probabilities_and_half_pixels() -> None:
    output = torch.linspace(-9, 9, 4 * 30 * 7).reshape(1, 4, 30, 7)
    result = quantise_output(output)[0].numpy()
    values = output[0].numpy()
    probabilities = 1 / (1 + np.exp(-values[:2]))
    expected = quantise(*probabilities.astype(np.float32), values[2:] * np.float32(OFFSET_SCALE))
    np.testing.assert_array_equal(result[..., 2:], expected[..., 2:])
    assert abs(result[..., :2].astype(int) - expected[..., :2]).max() <= 1


def test_the_largest_logits_become_the_ends_of_the_scale() -> None:
    output = torch.tensor([-1e30, 1e30]).reshape(1, 1, 1, 2).expand(1, 4, 1, 2)
    assert quantise_output(output)[0, 0].tolist() == [[0, 0, 0, 0], [255, 255, 255, 255]]
