"""The main job, end to end: real and synthetic pictures in; labels, polygons, run lengths and overlays out.

Run as ``python examples/demo.py [FOLDER]``. Everything it needs comes with the repository and its packages.
"""

import sys
import time
from pathlib import Path

import numpy as np
from nucleus_unet import Segmenter
from nucleus_unet.io.source import read_image
from numpy.typing import NDArray
from skimage.data import immunohistochemistry

EXAMPLES = Path(__file__).parent / "dsb2018" / "images"


def synthetic_field(side: int = 512, nuclei: int = 60, seed: int = 0) -> NDArray[np.uint16]:
    """Draw blurred bright ellipses with shot noise on a dark ground: 16-bit, as a camera gives it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    light = np.full((side, side), 300.0, np.float32)
    for _ in range(nuclei):
        row, column = rng.uniform(20, side - 20, 2)
        long, short, turn = rng.uniform(9, 15), rng.uniform(7, 10), rng.uniform(0, np.pi)
        along = (rows - row) * np.cos(turn) + (columns - column) * np.sin(turn)
        across = (columns - column) * np.cos(turn) - (rows - row) * np.sin(turn)
        distance = np.sqrt((along / long) ** 2 + (across / short) ** 2)
        light = np.maximum(light, rng.uniform(1500, 6000) / (1 + np.exp((distance - 1) * 8)))
    return rng.poisson(light).astype(np.uint16)


def main() -> None:
    """Segment each picture, write the results, and say what was found and where it is."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    pictures = {path.stem: read_image(path) for path in sorted(EXAMPLES.glob("*.png"))}
    pictures["immunohistochemistry"] = immunohistochemistry()
    pictures["synthetic_16bit"] = synthetic_field()

    segmenter = Segmenter.from_pretrained()
    for name, image in pictures.items():
        started = time.perf_counter()
        nuclei = segmenter.predict(image)
        seconds = time.perf_counter() - started
        for suffix in (".tif", ".csv", ".geojson", ".png"):
            nuclei.save(out / f"{name}{suffix}")
        size = "x".join(str(side) for side in image.shape[:2])
        area = np.median(nuclei.table["area"]) if len(nuclei) else 0
        print(
            f"{name:24} {size:>9} {image.dtype}: {len(nuclei):4} nuclei, median area {area:4.0f} px, {seconds:5.2f} s"
        )
    print(f"\nFor each picture, in {out.resolve()}:")
    print("  NAME.png      the picture with outlines: look at this one first")
    print("  NAME.tif      label image, uint32 (Fiji, napari, scikit-image)")
    print("  NAME.geojson  polygons (QuPath)")
    print("  NAME.csv      table, one row for each nucleus")


if __name__ == "__main__":
    main()
