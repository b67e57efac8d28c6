"""Make the picture of docs/how-to/view.md: ``python docs/viewer_picture.py``. Needs Chromium and the group ``dev``."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from nucleus_unet import Segmenter, view
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.browser import browser  # noqa: E402

_STEPS = """
const change = (id, value) => {
  const input = document.getElementById(id);
  input.value = value;
  input.dispatchEvent(new Event("change"));
};
change("measure", "area");
change("colour-by", "area");
document.getElementById("fill").click();
"""
_RANGE = """change("range-low", 330); change("range-high", 1500); document.getElementById("find-label").value = 40;
document.getElementById("find").requestSubmit();"""


def main() -> None:
    """Segment the examples, and take a picture of the page."""
    with tempfile.TemporaryDirectory() as folder:
        images = ROOT / "examples" / "dsb2018" / "images"
        Segmenter.from_pretrained().predict_files(
            images, out=folder, formats=["tif", "parquet"], measure="shape", mpp=None
        )
        with view(folder) as viewer, browser() as page:
            page.open(f"{viewer.url}#4", width=1100, height=690)
            page.settle()
            page.evaluate(f"(() => {{{_STEPS}}})()")
            page.wait_for("!document.querySelector('#legend').hidden")
            page.evaluate(f"(() => {{{_STEPS.split('};')[0]}}};{_RANGE}}})()")
            page.wait_for("document.querySelector('#nucleus tr')")
            page.key("0")
            page.settle()
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = ROOT / "docs" / "images" / "view.png"
    picture.quantize(colors=128, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
