"""Write the score tables of the README, the documentation and the model card from the embedded bundle's figures.

``python docs/scores.py [report.json]``: the report is what ``nucleus-unet evaluate --subset apart=...`` wrote of the
embedded bundle on the StarDist test split (see the model card); its figures join the bundle's ``metrics.json``.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from nucleus_unet.model.bundle import EMBEDDED, METRICS, WEIGHTS, load_bundle
from nucleus_unet.model.graph import multiply_adds_per_pixel, receptive_radius

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "python" / "nucleus_unet" / "weights"
KINDS = {
    "a": "DSB2018 a (fluorescence)",
    "b": "DSB2018 b (purple smears)",
    "c": "DSB2018 c (purple tissue)",
    "d": "DSB2018 d (fluorescence, 1024 x 1024)",
    "e": "DSB2018 e (pink smears)",
    "f": "DSB2018 f (fluorescence)",
    "aitslab": "Aitslab (fluorescence)",
    "bbbc039": "BBBC039 (fluorescence)",
    "tnbc": "TNBC (H&E tissue, patients not trained on)",
}
HEAD = """\
| images | number | nuclei | AP50 | AP75 | AP90 | mean AP | AP50, per image | mSA, per image | pixel accuracy |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Bring metrics.json, README, documentation and model cards up to date."""
    if len(sys.argv) > 1:
        path = MODELS / EMBEDDED[0] / METRICS
        metrics, report = json.loads(path.read_text()), json.loads(Path(sys.argv[1]).read_text())
        metrics["stardist_test"] = {name: report[name] for name in ("overall", "subsets")}
        path.write_text(json.dumps(metrics, indent=2) + "\n")
    short = summary(EMBEDDED[0])
    for page in (ROOT / "README.md", ROOT / "docs" / "explanation" / "accuracy.md"):
        replace(page, "scores", "\n".join([HEAD, *short]))
    for name in EMBEDDED:
        update_card(name)


def summary(name: str) -> list[str]:
    """Return the rows of a model: the test split, if the model was tried on it, and the held-out fold."""
    metrics = load_bundle(name).metrics
    rows = []
    if "stardist_test" in metrics:
        test = metrics["stardist_test"]
        rows += [
            row("StarDist test split of DSB2018 (never trained or tuned on)", test["overall"]),
            row("- those that share no field with a training image", test["subsets"]["apart"]),
        ]
    held_out = metrics["validation"]["overall"]
    return [*rows, row("held-out fold of all training sets, at `diameter=21.2` (grouping calibrated on it)", held_out)]


def update_card(name: str) -> None:
    """Bring the model card of a model up to date."""
    card, bundle = MODELS / name / "MODEL_CARD.md", load_bundle(name)
    categories = bundle.metrics["validation"]["categories"]
    kinds = [row(f"held-out: {KINDS.get(kind, kind)}", scores) for kind, scores in categories.items()]
    replace(card, "scores", "\n".join([HEAD, *summary(name), *kinds]))
    replace(card, "size", size(name))
    # The quality was learned on other images.
    settings = bundle.config.group.to_json().items()
    grouping = {name: value for name, value in settings if name not in ("quality", "min_quality")}
    replace(card, "grouping", ", ".join(f"{setting} {value}" for setting, value in grouping.items()) + ".")


def row(name: str, scores: dict[str, Any]) -> str:
    """Lay out one line of a table."""
    pooled, mean = scores["pooled_ap"], scores["per_image_ap"]
    figures = (
        pooled["0.50"],
        pooled["0.75"],
        pooled["0.90"],
        scores["pooled_mean_ap"],
        mean["0.50"],
        scores["per_image_mean_ap"],
    )
    cells = [name, scores["images"], scores["truths"], *(f"{figure:.3f}" for figure in figures)]
    return f"| {' | '.join(map(str, cells))} | {scores['pixel_accuracy']:.4f} |"


def size(name: str) -> str:
    """Say what the network of a model costs."""
    bundle = load_bundle(name)
    network = bundle.config.network
    megabytes = (MODELS / name / WEIGHTS).stat().st_size / 1e6
    return (
        f"{bundle.parameters:,} parameters, {megabytes:.1f} MB with the int8 form, "
        f"{multiply_adds_per_pixel(network):,.0f} multiply-adds a pixel, "
        f"receptive radius {receptive_radius(network)} pixels."
    )


def replace(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the comments that bear ``name``."""
    filled, count = re.subn(
        rf"<!-- {name} -->.*?<!-- /{name} -->",
        lambda _: f"<!-- {name} -->\n{text}\n<!-- /{name} -->",
        path.read_text(),
        flags=re.DOTALL,
    )
    if count != 1:
        raise SystemExit(f"{path}: expected <!-- {name} --> once, found it {count} times")
    path.write_text(filled)


if __name__ == "__main__":
    main()
