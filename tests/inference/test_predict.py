"""Maps of an image do not depend on how it is cut into tiles."""

import numpy as np
import pytest
from helpers.networks import engine_of, random_network
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nucleus_unet.errors import BundleError, SettingsError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.predict import maps_of_output, predict_maps
from nucleus_unet.inference.tiles import Tile
from nucleus_unet.model.config import OFFSET_SCALE, NetworkConfig
from nucleus_unet.model.targets import quantise
from numpy.typing import NDArray

PLAIN = engine_of(random_network(NetworkConfig(form="plain", width=8, depth=2, stem_stride=2)))
LITE = engine_of(random_network(NetworkConfig(decoder=(16, 16, 8, 8))))


def picture(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).random(shape, dtype=np.float32)


def whole(network: Predictor, image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """One direct call of the network on the whole image."""
    colours = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
    # 32 is a multiple of every stride used here.
    below, right = (32 - size if size < 32 else -size % network.stride for size in image.shape[:2])
    mode = "symmetric" if min(image.shape[:2]) < 32 else "edge"
    padded = np.pad(colours, ((0, below), (0, right), (0, 0)), mode=mode)
    return maps_of_output(network.run(padded[None])[0])[: image.shape[0], : image.shape[1]]


def tiled(network: Predictor, image: NDArray[np.float32], tile: int, *, batch_size: int = 1) -> NDArray[np.uint8]:
    return predict_maps(
        network, lambda rows, columns: image[rows, columns], image.shape[:2], tile=tile, batch_size=batch_size
    )


def test_tiled_is_whole_to_the_byte() -> None:
    image = picture(147, 181, 3)
    expected = whole(PLAIN, image)
    assert (np.ptp(expected, axis=(0, 1)) > 50).all()
    for tile, batch_size in (104, 5), (111, 1), (128, 3), (168, 2), (1024, 1):
        result = tiled(PLAIN, image, tile, batch_size=batch_size)
        np.testing.assert_array_equal(result, expected, err_msg=f"tile {tile}, batch size {batch_size}")


def test_tiled_is_whole_to_the_byte_in_the_lite_form() -> None:
    image = picture(250, 331)
    expected = whole(LITE, image)
    for tile in 272, 304:
        np.testing.assert_array_equal(tiled(LITE, image, tile, batch_size=2), expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (7, 9), (8, 8), (31, 40)])
def test_images_smaller_than_32_pixels_are_mirrored_up_to_it(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    np.testing.assert_array_equal(tiled(PLAIN, image, 104), whole(PLAIN, image))


@pytest.mark.parametrize("shape", [(32, 33), (104, 105), (105, 104)])
def test_sizes_that_are_no_multiples_of_the_stride_are_padded_at_their_far_edges(shape: tuple[int, int]) -> None:
    image = picture(*shape)
    np.testing.assert_array_equal(tiled(PLAIN, image, 104), whole(PLAIN, image))


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
    with pytest.raises(SettingsError, match="expected at least 96 pixels"):
        tiled(PLAIN, picture(150, 150), 88)


def test_maps_are_rounded_probabilities_and_half_pixels() -> None:
    output = np.linspace(-9, 9, 4 * 30 * 7, dtype=np.float32).reshape(4, 30, 7)
    result = maps_of_output(output)
    probabilities = 1 / (1 + np.exp(-output[:2]))
    expected = quantise(*probabilities.astype(np.float32), output[2:] * np.float32(OFFSET_SCALE))
    np.testing.assert_array_equal(result[..., 2:], expected[..., 2:])
    assert abs(result[..., :2].astype(int) - expected[..., :2]).max() <= 1


@given(
    arrays(
        np.float32, st.tuples(st.just(4), st.integers(1, 70), st.integers(1, 9)), elements=st.floats(-40, 40, width=32)
    ),
    st.integers(1, 3),
)
def test_maps_are_those_of_a_table_of_rounded_logits(output: NDArray[np.float32], threads: int) -> None:
    table = np.rint(255 / (1 + np.exp(-np.arange(-512, 513) / 64))).astype(np.uint8)
    logits = table[np.clip(np.rint(output[:2] * 64), -512, 512).astype(int) + 512]
    offsets = np.clip(np.rint(output[2:] * np.float32(2 * OFFSET_SCALE)) + 128, 0, 255).astype(np.uint8)
    expected = np.moveaxis(np.concatenate([logits, offsets]), 0, -1)
    np.testing.assert_array_equal(maps_of_output(output, threads=threads), expected)
    np.testing.assert_array_equal(maps_of_output(output[:, ::2, ::2]), expected[::2, ::2])


@given(st.integers(0, 255))
def test_pixels_with_less_than_the_least_foreground_get_no_offsets(least: int) -> None:
    output = np.random.default_rng(3).normal(0, 3, (4, 20, 9)).astype(np.float32)
    expected = maps_of_output(output)
    expected[expected[..., 0] < least, 2:] = 0
    np.testing.assert_array_equal(maps_of_output(output, least_foreground=least), expected)


def test_the_largest_logits_become_the_ends_of_the_scale() -> None:
    output = np.broadcast_to(np.float32([-1e30, 1e30]), (4, 1, 2))
    assert maps_of_output(output)[0].tolist() == [[0, 0, 0, 0], [255, 255, 255, 255]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", range(4))
def test_an_output_that_is_not_finite_is_refused(channel: int, value: float) -> None:
    output = np.zeros((4, 50, 9), np.float32)
    output[channel, 49, 8] = value
    with pytest.raises(BundleError, match="weights are damaged, or training diverged"):
        maps_of_output(output)
