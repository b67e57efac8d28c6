"""Segment images that show no nuclei, and count what is found in them.

The images are fields of noise, as cameras, interpolation, filters and compression leave them in an empty well or on
glass. Training shows fields of noise, too, but not those of a cubic interpolation, a median filter, Pillow's JPEG,
uneven light, a fractal, or a part that is cut off. With ``--data``, the empty parts of labelled images follow: plain,
and enlarged.

    python benchmarks/empty.py --data held-out/ --markdown empty.md
"""

from __future__ import annotations

import argparse
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from nucleus_unet import Segmenter
from nucleus_unet.cli.sets import SetOptions, read_sets
from nucleus_unet.data.dataset import Example
from nucleus_unet.inference.scale_log import is_doubtful
from nucleus_unet.preprocessing.resample import resample
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from scipy import ndimage

SIDE, DRAWS = 768, 3
PART, MARGIN, MAGNIFICATIONS = 128, 8, (1, 2, 4, 6)

Noise = NDArray[Any]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class Found(NamedTuple):
    """What is found in one image."""

    nuclei: int
    is_doubted: bool


def camera(noise: Noise, mean: float = 200, deviation: float = 10) -> NDArray[np.uint16]:
    """Return noise as 16-bit counts of a camera."""
    counts = np.clip(np.rint(mean + deviation * (noise - noise.mean()) / noise.std()), 0, 65535)
    return np.asarray(counts, np.uint16)


def bytes_of(noise: Noise, mean: float, deviation: float) -> NDArray[np.uint8]:
    """Return noise in 8 bits, with few grey levels if the deviation is small."""
    return np.minimum(camera(noise, mean, deviation), 255).astype(np.uint8)


def cut_off(noise: Noise) -> NDArray[np.uint16]:
    """Return the brightest sixth of noise on black, as the subtraction of a background leaves it."""
    counts = np.clip(np.rint(100 * (noise / noise.std() - 1)), 0, 65535)
    return np.asarray(counts, np.uint16)


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress and decompress pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file), dtype=np.uint8)


def repeated(white: Noise, block: int) -> Noise:
    """Return pixels that are binned and enlarged again without interpolation."""
    return np.kron(white[: SIDE // block, : SIDE // block], np.ones((block, block)))


def fractal(white: Noise) -> Noise:
    """Return noise whose amplitude falls with its frequency, as uneven light and drying stains have."""
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    return np.fft.irfft2(np.fft.rfft2(white) / np.maximum(np.hypot(rows, columns), 1 / SIDE), s=white.shape)


def glass(rng: np.random.Generator, sigma: float, shared: float) -> NDArray[np.uint8]:
    """Return empty glass of a colour camera; ``shared`` is the share of noise that all colours have."""
    noise = rng.standard_normal((SIDE, SIDE, 3)) * (1 - shared) + rng.standard_normal((SIDE, SIDE, 1)) * shared
    smooth = ndimage.gaussian_filter(noise, (sigma, sigma, 0))
    colours = np.rint(np.array([240, 236, 242]) + 2 * smooth / smooth.std())
    return np.asarray(np.clip(colours, 0, 255), np.uint8)


def fields(rng: np.random.Generator) -> Iterator[tuple[str, Pixels]]:
    """Yield the name and pixels of each kind of field."""
    white = rng.standard_normal((SIDE, SIDE))
    yield "independent noise", camera(white)
    yield "single photons, 0.01 a pixel", rng.poisson(0.01, white.shape).astype(np.uint8)
    for sigma in (1, 2, 4, 8, 16):
        yield f"Gaussian filter, sigma {sigma}", camera(ndimage.gaussian_filter(white, sigma))
    for sigma in (2, 4):
        yield f"Gaussian filter, sigma {sigma}, few grey levels", bytes_of(ndimage.gaussian_filter(white, sigma), 4, 1)
        yield f"Gaussian filter, sigma {sigma}, dark part cut off", cut_off(ndimage.gaussian_filter(white, sigma))
    yield "Gaussian filter, sigma 1.2, three grey levels", bytes_of(ndimage.gaussian_filter(white, 1.2), 2.3, 0.3)
    for block in (2, 3, 4, 6, 8):
        yield f"pixels repeated {block} times", camera(repeated(white, block))
    for factor in (2, 4, 6):
        coarse = white[: SIDE // factor, : SIDE // factor]
        yield f"cubic interpolation, {factor} times", camera(ndimage.zoom(coarse, factor, order=3))
    for size in (3, 7):
        yield f"median filter, {size} pixels", camera(ndimage.median_filter(white, size))
    for quality in (75, 30):
        yield f"JPEG of quality {quality}", jpeg(bytes_of(white, 40, 5), quality)
    vignette = 1 - ((np.mgrid[:SIDE, :SIDE] / SIDE - 0.5) ** 2).sum(axis=0)
    yield "uneven light", camera(white + 20 * vignette)
    yield "uneven light, Gaussian filter, sigma 2", camera(5 * ndimage.gaussian_filter(white, 2) + 20 * vignette)
    yield "fractal", camera(fractal(white))
    for blur, shared in ((0.01, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 0.7), (4.0, 0.7)):
        colours = f"{shared:.0%} of the noise in all colours" if shared else "independent noise in each colour"
        yield f"glass, Gaussian filter, sigma {blur:g}, {colours}", glass(rng, blur, shared)
    smooth = ndimage.gaussian_filter(white, 2)
    yield "glass, saturated", np.stack([bytes_of(smooth, 262, 6)] * 3, axis=-1)
    yield "glass, JPEG of quality 75", jpeg(glass(rng, 0.01, 0.0), 75)


def empty_part(example: Example) -> NDArray[np.generic] | None:
    """Return the first square of a labelled image that has no nucleus in it or near it."""
    taken = ndimage.maximum_filter(example.labels > 0, size=2 * MARGIN + 1)
    if min(taken.shape) < PART:
        return None
    sums = np.pad(taken.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    covered = sums[PART:, PART:] - sums[:-PART, PART:] - sums[PART:, :-PART] + sums[:-PART, :-PART]
    places = np.argwhere(covered == 0)
    if not len(places):
        return None
    row, column = places[0]
    return example.image[row : row + PART, column : column + PART]


def enlarged(pixels: NDArray[np.generic], magnification: int) -> NDArray[np.generic]:
    """Return pixels that are interpolated, with the dtype that they have."""
    if magnification == 1:
        return np.ascontiguousarray(pixels)
    return np.rint(resample(np.ascontiguousarray(pixels, dtype=np.float32), magnification)).astype(pixels.dtype)


def look(segmenter: Segmenter, pixels: NDArray[np.generic]) -> Found:
    """Segment an image with default options."""
    result = segmenter.predict(pixels)
    number = len(result)
    return Found(number, bool(number) and is_doubtful(result.plan.expected_msa))


def row(name: str, each: Sequence[Found]) -> str:
    """Return a row of the table."""
    silent = sum(found.nuclei > 0 and not found.is_doubted for found in each)
    some = sum(found.nuclei > 0 for found in each)
    return f"| {name} | {len(each)} | {np.mean([found.nuclei for found in each]):.1f} | {some} | {silent} |"


def table(title: str, lines: Sequence[str]) -> list[str]:
    """Return a table with its heading."""
    return [
        f"| {title} | images | nuclei found, mean | images with some | of these, no warning |",
        "|---" * 5 + "|",
        *lines,
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="labelled sets, as for `nucleus-unet train`")
    parser.add_argument("--model", help="model bundle or name; default: the embedded model")
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    options = parser.parse_args()
    logging.getLogger("nucleus_unet").setLevel(logging.ERROR)
    segmenter = Segmenter.from_pretrained(options.model, device="cpu")
    found: dict[str, list[Found]] = {}
    for seed in track(range(DRAWS), "fields of noise"):
        for name, pixels in fields(np.random.default_rng(seed)):
            found.setdefault(name, []).append(look(segmenter, pixels))
    lines = table("fields of noise, 768 x 768 pixels", [row(name, each) for name, each in found.items()])
    if options.data:
        parts = [part for example in read_sets(options.data, SetOptions()) if (part := empty_part(example)) is not None]
        rows = []
        for magnification in MAGNIFICATIONS:
            shown = [enlarged(part, magnification) for part in track(parts, f"{magnification} times")]
            rows.append(row(f"{magnification} times", [look(segmenter, pixels) for pixels in shown]))
        lines += ["", *table("empty parts of labelled images, 128 x 128 pixels, enlarged", rows)]
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
