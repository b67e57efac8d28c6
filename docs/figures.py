"""Make the pictures of the README from the example images and the embedded model: ``python docs/figures.py``."""

from pathlib import Path

import numpy as np
from nucleus_unet import Segmenter
from nucleus_unet.reports.plots import save_triptychs
from nucleus_unet.data.dataset import read_examples

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("fluorescence_crowded", "smear_purple")


def main() -> None:
    """Save image | truth | prediction of two images that the model was not trained on."""
    examples = {example.name: example for example in read_examples(ROOT / "examples" / "dsb2018")[0]}
    segmenter = Segmenter.from_pretrained()
    rows = []
    for name in SHOWN:
        example = examples[name]
        rows.append((example.image, example.labels, segmenter.predict(np.asarray(example.image)).labels))
    save_triptychs(ROOT / "docs" / "images" / "triptych.png", rows)


if __name__ == "__main__":
    main()
