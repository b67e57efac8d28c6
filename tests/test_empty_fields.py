"""In noise of most kinds nothing is found, or one spot; where more is found, the log warns."""

from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from nucleus_unet import Segmenter
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, median_filter, zoom

Noise = NDArray[np.float64]


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


def in_8_bits(noise: Noise, mean: float, deviation: float) -> NDArray[np.uint8]:
    return np.clip(np.rint(mean + deviation * noise / noise.std()), 0, 255).astype(np.uint8)


def glass(noise: Noise) -> NDArray[np.uint8]:
    return in_8_bits(gaussian_filter(np.stack([noise, noise.T, noise[::-1]], axis=-1), (2, 2, 0)), 238, 2)


KINDS: dict[str, Callable[[Noise], NDArray[np.generic]]] = {
    "smoothed": lambda noise: gaussian_filter(noise, 2),
    "smoothed, few grey levels": lambda noise: in_8_bits(gaussian_filter(noise, 2), 4, 1),
    "pixels repeated": lambda noise: noise[:100, :100].repeat(4, axis=0).repeat(4, axis=1),
    "interpolated": lambda noise: zoom(noise[:200, :200], 2, order=3),
    "median filter": lambda noise: median_filter(noise, 3),
    "JPEG": lambda noise: imagecodecs.jpeg_decode(imagecodecs.jpeg_encode(in_8_bits(noise, 40, 5), level=30)),
    "glass": glass,
}


@pytest.mark.parametrize("kind", KINDS)
def test_in_noise_whose_neighbouring_pixels_are_alike_at_most_one_nucleus_is_found(
    embedded: Segmenter, kind: str
) -> None:
    for seed in range(2):
        noise = np.random.default_rng(seed).standard_normal((400, 400))
        assert len(embedded.predict(KINDS[kind](noise))) <= 1


def test_where_nuclei_are_found_in_noise_they_are_called_doubtful(
    embedded: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    noise = in_8_bits(gaussian_filter(np.random.default_rng(0).standard_normal((600, 600)), 4), 4, 1)
    found = embedded.predict(noise)
    assert ("doubtful" if len(found) else "no nuclei were found") in caplog.text
