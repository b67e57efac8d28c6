"""Measure what 5, 10 and 20 corrected images gain on a source of images that the model was not trained on.

Half of the fields of the source are kept for the scores. Of the other half, images are drawn as if they had been
corrected: first 5, then 5 and 10 more, in several draws. The model is fine-tuned on them as `train --from` does, which
holds out one image or a tenth of them for validation. Before and after it segments the kept half.

Give a model that was trained without the source. The embedded model has seen the public sets, so its gain says nothing.

    python benchmarks/corrected.py --model without-source/ --data source/ --markdown corrected.md
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _machine import cpu
from nucleus_unet import Segmenter, __version__
from nucleus_unet.cli.sets import SetOptions, read_sets
from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.evaluate import evaluate
from nucleus_unet.evaluation.metrics import Scores
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.training.fine_tuning import fine_tuning_config
from nucleus_unet.training.pipeline import train_bundle
from rich.progress import track


class Row(NamedTuple):
    """The scores of the kept half after one fine-tuning. ``images`` is 0 before it."""

    images: int
    draw: int
    scores: Scores


def halves(examples: Sequence[Example], seed: int) -> tuple[list[Example], list[Example]]:
    """Return the images to correct and those to score. All images of a field are in one half."""
    fields = sorted({example.field_id for example in examples})
    kept = set(np.random.default_rng(seed).permutation(fields)[: len(fields) // 2].tolist())
    return (
        [example for example in examples if example.field_id not in kept],
        [example for example in examples if example.field_id in kept],
    )


def measure(
    origin: Bundle, examples: Sequence[Example], *, counts: Sequence[int], draws: int, samples: int, device: str
) -> list[Row]:
    """Fine-tune on each number of images of each draw, and score the kept half."""
    pool, kept = halves(examples, seed=0)
    if len(pool) < max(counts):
        raise SystemExit(f"expected at least {2 * max(counts)} images, got {len(examples)}")
    print(f"{len(pool)} images to draw from, {len(kept)} images to score")
    rows = [Row(0, 0, evaluate(Segmenter(origin, device=device), kept).overall)]
    config = fine_tuning_config(origin)
    every = min(config.validate_every, samples)
    for draw, count in track([(draw, count) for draw in range(draws) for count in counts], "fine-tuning"):
        order = np.random.default_rng(draw).permutation(len(pool))
        corrected = [pool[place] for place in order[:count]]
        run = dataclasses.replace(config, samples=samples, validate_every=every, seed=draw)
        with tempfile.TemporaryDirectory() as folder:
            train_bundle(run, corrected, Path(folder) / "tuned", origin=origin, device=device, log=print)
            tuned = Segmenter.from_pretrained(Path(folder) / "tuned", device=device)
            rows.append(Row(count, draw, evaluate(tuned, kept).overall))
    return rows


def table(rows: Sequence[Row], head: str) -> str:
    """Return a Markdown page: the mean of the draws, with the least and the greatest."""
    lines = [head, "", "| corrected images | draws | AP50 | mean AP | mSA | gain of mSA |", "|---|---|---|---|---|---|"]
    (before,) = (row.scores for row in rows if row.images == 0)
    for count in sorted({row.images for row in rows}):
        scores = [row.scores for row in rows if row.images == count]
        means = [float(np.mean([getattr(each, name) for each in scores])) for name in ("pooled_mean", "per_image_mean")]
        found = float(np.mean([each.pooled[0.5] for each in scores]))
        gains = [each.per_image_mean - before.per_image_mean for each in scores]
        gain = f"{np.mean(gains):+.3f} ({min(gains):+.3f} to {max(gains):+.3f})" if count else ""
        lines.append(f"| {count} | {len(scores)} | {found:.3f} | {means[0]:.3f} | {means[1]:.3f} | {gain} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="bundle that was trained without the source")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled set of the source")
    parser.add_argument("--group-by", action="append", help="regular expression of the field in names of images")
    parser.add_argument("--images", type=int, nargs="+", default=[5, 10, 20], help="numbers of corrected images")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--samples", type=int, default=800, help="training samples of each fine-tuning")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seen", action="store_true", help="go on although the model was trained on these images")
    parser.add_argument("--markdown", type=Path, help="file for the table")
    options = parser.parse_args()
    origin = load_bundle(options.model)
    examples = read_sets(options.data, SetOptions(group_by=options.group_by))
    seen = sum(example.digest in origin.seen.training for example in examples)
    if seen and not options.seen:
        raise SystemExit(f"the model was trained on {seen} of {len(examples)} images: give one that was not, or --seen")
    rows = measure(
        origin,
        examples,
        counts=sorted(options.images),
        draws=options.draws,
        samples=options.samples,
        device=options.device,
    )
    head = (
        f"# Gain from corrected images\n\n{origin.config.name} ({origin.fingerprint[:12]}), {len(examples)} images, "
        f"{options.samples} samples, nucleus-unet {__version__}, {cpu()}."
    )
    if seen:
        head += f" The model was trained on {seen} of the images, so the table says nothing about other images."
    page = table(rows, head)
    print(page)
    if options.markdown is not None:
        options.markdown.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
