"""Show labelled images at several sizes, and score the nuclei that are found without a diameter.

Each image is shown at a quarter to six times its size: plainly enlarged, and with the texture of a high magnification
imitated (a quarter of these images keep their own texture, as in training). Of large images, the middle is shown. Three
scores stand side by side: those of the same part of the image at its own size, those with the right ``diameter=``, and
those of the default. Give images that the model was not trained on.

    python benchmarks/sizes.py --data held-out/ --markdown sizes.md
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from nucleus_unet import Segmenter
from nucleus_unet.cli.sets import SetOptions, read_sets
from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.metrics import ImageScore, score_image, summarise
from nucleus_unet.training.scale_fitting import show_at, shown_part
from rich.progress import track

SIZES = (
    (0.25, False),
    (0.35, False),
    (0.5, False),
    (0.75, False),
    (1, False),
    (1.5, False),
    (1.5, True),
    (2, False),
    (2, True),
    (3, False),
    (3, True),
    (4, False),
    (4, True),
    (6, False),
    (6, True),
)


class Row(NamedTuple):
    """The scores of all images at one size."""

    size: float
    texture: bool
    category: str
    own: list[ImageScore]
    told: list[ImageScore]
    found: list[ImageScore]


def score_sizes(segmenter: Segmenter, examples: list[Example]) -> Iterator[Row]:
    """Yield a row for each size and category."""
    reference = segmenter.bundle.config.diameter
    for size, texture in SIZES:
        rows: dict[str, Row] = {}
        for number, example in enumerate(track(examples, f"{size} times")):
            shown = show_at(example, size, np.random.default_rng(number) if texture else None)
            image = np.rint(255 * shown.pixels).astype(np.uint8)
            row = rows.setdefault(example.category, Row(size, texture, example.category, [], [], []))
            row.found.append(score_image(shown.labels, segmenter.predict(image).labels))
            told = segmenter.predict(image, diameter=reference * size)
            row.told.append(score_image(shown.labels, told.labels))
            middle = shown_part(example.labels.shape, size)
            own = segmenter.predict(example.image[middle], diameter=reference)
            row.own.append(score_image(example.labels[middle], own.labels))
        yield from rows.values()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", help="labelled sets, as for `nucleus-unet train`"
    )
    parser.add_argument("--model", type=Path, help="model bundle; default: the embedded model")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    options = parser.parse_args()
    segmenter = Segmenter.from_pretrained(options.model, device="cpu")
    pooled: dict[tuple[float, bool], list[Row]] = defaultdict(list)
    for row in score_sizes(segmenter, read_sets(options.data, SetOptions())):
        pooled[row.size, row.texture].append(row)
    lines = [
        "| shown at | category | images | at its own size: AP50 / mSA | told the diameter | by itself |",
        "|---" * 6 + "|",
    ]
    for (size, texture), rows in pooled.items():
        lists = [[score for row in rows for score in row[place]] for place in (3, 4, 5)]
        together = Row(size, texture, "all", *lists)
        for row in [together, *rows] if len(rows) > 1 else rows:
            scores = [summarise(each) for each in (row.own, row.told, row.found)]
            cells = [f"{each.per_image[0.5]:.3f} / {each.per_image_mean:.3f}" for each in scores]
            name = f"{size:g}" + (" with texture" if texture else "")
            lines.append(f"| {name} | {row.category} | {len(row.own)} | " + " | ".join(cells) + " |")
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
