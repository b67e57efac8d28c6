"""Draw the pictures of ``make demo`` with the nuclei of an earlier version of this library and with those of now.

Run as ``python benchmarks/pictures.py --earlier PYTHON OUT.png``. The interpreter has the earlier version. A last
picture is enlarged four times, with the texture of a high magnification imitated. Needs the group ``dev``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
ENLARGED, TIMES = "fluorescence_large", 4
# What each version runs: it finds the nuclei of all pictures of a folder.
_FIND = """
import sys
from pathlib import Path
import numpy as np
from nucleus_unet import Segmenter
segmenter = Segmenter.from_pretrained(device="cpu")
for path in sorted(Path(sys.argv[1]).glob("*.npy")):
    np.save(Path(sys.argv[2]) / path.name, segmenter.predict(np.load(path)).labels)
"""


def main() -> None:
    """Find the nuclei with both versions, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="PNG file")
    parser.add_argument("--earlier", type=Path, required=True, metavar="PYTHON", help="interpreter with that version")
    options = parser.parse_args()
    pictures = _pictures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each, pixels in pictures.items():
            np.save(folder / f"{each}.npy", pixels)
        found = [_find(folder, python) for python in (options.earlier, Path(sys.executable))]
    _draw(pictures, *found, options.out)


def _pictures() -> dict[str, NDArray[Any]]:
    from nucleus_unet.data.dataset import read_examples
    from nucleus_unet.training.scale_fitting import show_at
    from skimage.data import immunohistochemistry

    sys.path.insert(0, str(ROOT / "examples"))
    from demo import synthetic_field

    examples = {each.name: each for each in read_examples(ROOT / "examples" / "dsb2018")[0]}
    pictures = {name: np.asarray(each.image) for name, each in examples.items()}
    pictures |= {"immunohistochemistry": immunohistochemistry(), "synthetic": synthetic_field()}
    shown = show_at(examples[ENLARGED], TIMES, np.random.default_rng(0)).pixels
    return {**pictures, f"{ENLARGED}_enlarged": np.rint(255 * shown).astype(np.uint8)}


def _find(pictures: Path, python: Path) -> dict[str, NDArray[np.uint32]]:
    with tempfile.TemporaryDirectory() as out:
        subprocess.run([str(python.absolute()), "-c", _FIND, str(pictures), out], check=True, cwd=out)
        return {path.stem: np.load(path) for path in Path(out).glob("*.npy")}


def _draw(
    pictures: dict[str, NDArray[Any]],
    earlier: dict[str, NDArray[np.uint32]],
    now: dict[str, NDArray[np.uint32]],
    out: Path,
) -> None:
    from matplotlib.figure import Figure
    from nucleus_unet.exports.overlay import to_display_rgb
    from nucleus_unet.masks import contours
    from PIL import Image

    rows = -(-len(pictures) // 2)
    figure = Figure(figsize=(13, 3.1 * rows), layout="constrained")
    axes = figure.subplots(rows, 4)
    for ax in axes.flat:
        ax.set_axis_off()
    panels = [(name, "earlier", earlier) for name in pictures], [(name, "now", now) for name in pictures]
    for number, pair in enumerate(zip(*panels, strict=True)):
        for side, (name, when, found) in enumerate(pair):
            ax = axes[number // 2, number % 2 * 2 + side]
            picture = to_display_rgb(pictures[name])
            ax.imshow(picture)
            colour = "#00802b" if np.median(picture) > 128 else "#ffd21e"
            for polygons in contours(found[name]).values():
                for ring in (ring for rings in polygons for ring in rings):
                    closed = np.vstack([ring, ring[:1]]) - 0.5  # polygons have pixel edges at whole numbers
                    ax.plot(closed[:, 0], closed[:, 1], color=colour, linewidth=0.9)
            ax.set_title(f"{name.replace('_', ' ')}, {when}: {found[name].max()}", fontsize=8)
    with tempfile.TemporaryDirectory() as name:
        figure.savefig(Path(name) / "picture.png", dpi=100)
        drawn = Image.open(Path(name) / "picture.png").convert("RGB")
        drawn.quantize(colors=256, kmeans=2, dither=Image.Dither.NONE).save(out, optimize=True)


if __name__ == "__main__":
    main()
