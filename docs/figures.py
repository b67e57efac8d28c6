"""Make the figures of the README and of the documentation: ``python docs/figures.py``.

Every figure comes from the example images, the embedded model and the public interface. Needs the packages of the
group ``dev``, for matplotlib, Pillow and scikit-image's picture of immunohistochemistry.
"""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from nucleus_unet import Segmentation, Segmenter
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.exports.overlay import overlay, to_display_rgb
from nucleus_unet.masks import contours
from nucleus_unet.preprocessing.resample import resample
from nucleus_unet.reports.plots import new_figure, png
from numpy.typing import NDArray
from PIL import Image
from skimage.data import immunohistochemistry

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples" / "dsb2018" / "images"
SHOWN = ("fluorescence_crowded", "smear_purple")
OUTLINE, FAULT, CORE, HALO = "#ffb000", "#ff2d55", "#1e88e5", "#8ec5ff"


def main() -> None:
    """Make all figures."""
    segmenter = Segmenter.from_pretrained()
    triptych(segmenter)
    maps(segmenter)
    grouping(segmenter)
    tiles()
    seams(segmenter)
    blocks(segmenter)
    dab(segmenter)
    dab_scale(segmenter)


def triptych(segmenter: Segmenter) -> None:
    """Draw image, truth and prediction of two images that the model was not trained on."""
    examples = {example.name: example for example in read_examples(ROOT / "examples" / "dsb2018")[0]}
    rows = []
    for name in SHOWN:
        example = examples[name]
        rows.append((example.image, example.labels, segmenter.predict(np.asarray(example.image)).labels))
    heights = [image.shape[0] / image.shape[1] for image, _, _ in rows]
    figure = new_figure(12, sum(4 * height + 0.4 for height in heights))
    axes = figure.subplots(len(rows), 3, squeeze=False, gridspec_kw={"height_ratios": heights})
    for line, (image, truth, prediction) in zip(axes, rows, strict=True):
        pictures = {
            "image": to_display_rgb(image),
            f"truth: {np.unique(truth[truth > 0]).size} nuclei": overlay(image, truth, colour=(0, 220, 255)),
            f"prediction: {np.unique(prediction[prediction > 0]).size} nuclei": overlay(image, prediction),
        }
        for ax, (title, picture) in zip(line, pictures.items(), strict=True):
            ax.imshow(picture)
            ax.set_title(title)
            ax.set_axis_off()
    _shrink(IMAGES / "triptych.png", png(figure))


def maps(segmenter: Segmenter) -> None:
    """Draw what the network predicts for every pixel, and the label image that grouping makes of it."""
    nuclei = segmenter.predict(EXAMPLES / "fluorescence_large.png", maps=True)
    part = np.s_[150:310, 60:220]
    foreground, centre, offsets = _maps(nuclei, part)
    labels = nuclei.labels[part]
    figure, axes = _panels(2, 3, width=6.6, height=4.9)
    _image(axes[0], nuclei.image[part], "1. input image")
    _image(axes[1], foreground, "2. foreground", cmap="magma")
    _image(axes[2], centre, "3. centre heatmap", cmap="magma")
    _image(axes[3], foreground * 0, "4. offsets", cmap="gray")
    rows, columns = np.mgrid[4 : labels.shape[0] : 7, 4 : labels.shape[1] : 7]
    rows, columns = rows[labels[rows, columns] > 0], columns[labels[rows, columns] > 0]
    down, right = offsets[rows, columns].T
    turn = np.arctan2(down, right) / (2 * np.pi) % 1
    colours = hsv_to_rgb(np.stack([turn, np.full_like(turn, 0.55), np.ones_like(turn)], axis=-1))
    axes[3].quiver(columns, rows, right, down, color=colours, angles="xy", scale_units="xy", scale=1, width=0.006)
    _image(axes[4], _colours(labels), f"5. label image: {np.unique(labels[labels > 0]).size} nuclei")
    _image(axes[5], nuclei.image[part], "6. outlines")
    _draw_outlines(axes[5], labels)
    _save(figure, "maps.png")


def grouping(segmenter: Segmenter) -> None:
    """Draw how offsets separate two nuclei that touch."""
    nuclei = segmenter.predict(EXAMPLES / "fluorescence_crowded.png", maps=True)
    part = np.s_[30:90, 235:295]
    foreground, centre, offsets = _maps(nuclei, part)
    labels = nuclei.labels[part]
    colours = _colours(labels)
    figure, axes = _panels(1, 3, width=6.6, height=2.6)
    _image(axes[0], nuclei.image[part], "foreground, centres")
    _image(axes[1], foreground * 0, "where offsets end", cmap="gray")
    _image(axes[2], colours, "grouped nuclei")
    inside = labels > 0
    rows, columns = np.nonzero(inside)
    axes[0].contour(inside, levels=[0.5], colors=OUTLINE, linewidths=0.8)
    pointed = np.stack([rows, columns], axis=-1) + offsets[inside]
    axes[1].scatter(pointed[:, 1], pointed[:, 0], s=4, c=colours[inside], linewidths=0)
    for label in np.unique(labels[inside]):
        peak = np.unravel_index(np.argmax(np.where(labels == label, centre, -1)), labels.shape)
        for ax in axes:
            ax.plot(peak[1], peak[0], "+", color="white", markersize=6, markeredgewidth=1.2)
    for ax in axes:
        ax.set_xlim(-0.5, labels.shape[1] - 0.5)
        ax.set_ylim(labels.shape[0] - 0.5, -0.5)
    _save(figure, "grouping.png")


def tiles() -> None:
    """Draw tiles, cores and halos to scale on four copies of an example."""
    field = np.asarray(Image.open(EXAMPLES / "fluorescence_large.png"))
    field = np.block([[field, field[:, ::-1]], [field[::-1], field[::-1, ::-1]]])
    side, halo = 336, 80
    core = side - 2 * halo
    figure, axes = _panels(1, 2, width=6.6, height=3.7)
    for ax, title in zip(axes, ("one tile: core and halo", "cores cover the image once"), strict=True):
        _image(ax, field, title)
    _box(axes[0], 192, 192, side, HALO, fill=0.35)
    _box(axes[0], 192 + halo, 192 + halo, core, CORE, fill=0.45)
    axes[0].text(192 + side / 2, 192 + halo / 2, "halo: context", color="white", ha="center", va="center")
    axes[0].text(192 + side / 2, 192 + side / 2, "core:\nkept", color="white", ha="center", va="center", size=13)
    edges = [0, halo + core, halo + 2 * core, halo + 3 * core, field.shape[0]]
    for top, bottom in pairwise(edges):
        for left, right in pairwise(edges):
            axes[1].add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=CORE, linewidth=1.6)
            )
    _box(axes[1], edges[1] - halo, edges[2] - halo, side, HALO, fill=0.25)
    _save(figure, "tiles.png")


def seams(segmenter: Segmenter) -> None:
    """Draw the same image cut into quarters that know nothing of each other, and tiled by the library."""
    path = EXAMPLES / "fluorescence_crowded.png"
    image = np.asarray(Image.open(path))
    whole = segmenter.predict(path)
    height, width = (side // 2 for side in whole.labels.shape)
    cut = np.zeros_like(whole.labels)
    for rows in (slice(0, height), slice(height, None)):
        for columns in (slice(0, width), slice(width, None)):
            found = segmenter.predict(image[rows, columns]).labels
            cut[rows, columns] = np.where(found, found + cut.max(), 0)
    tiled = segmenter.predict(path, tile=256).labels
    figure, axes = _panels(1, 2, width=6.6, height=3.2)
    for ax, labels, name in ((axes[0], cut, "four separate crops"), (axes[1], tiled, "tiles of nucleus-unet")):
        wrong = _unlike(labels, whole.labels)
        _image(ax, image, f"{name}:\n{len(wrong)} of {len(np.unique(labels)) - 1} nuclei wrong")
        _draw_outlines(ax, np.where(np.isin(labels, wrong), 0, labels))
        _draw_outlines(ax, np.where(np.isin(labels, wrong), labels, 0), colour=FAULT, width=1.6)
        ax.axhline(height - 0.5, color="white", linestyle=":", linewidth=1)
        ax.axvline(width - 0.5, color="white", linestyle=":", linewidth=1)
    _save(figure, "seams.png")


def blocks(segmenter: Segmenter) -> None:
    """Draw a block, its margin, and the nuclei whose centres it contains."""
    nuclei = segmenter.predict(EXAMPLES / "fluorescence_large.png")
    top, left, side, margin = 90, 90, 180, 70
    rows, columns = nuclei.table["row"], nuclei.table["column"]
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    figure, (ax,) = _panels(1, 1, width=4.2, height=4.4)
    _image(ax, nuclei.image, "yellow: nuclei of this block")
    mine = nuclei.table["label"][inside]
    _draw_outlines(ax, np.where(np.isin(nuclei.labels, mine), 0, nuclei.labels), colour="#9aa4ad")
    _draw_outlines(ax, np.where(np.isin(nuclei.labels, mine), nuclei.labels, 0), width=1.8)
    ax.plot(columns[inside], rows[inside], "+", color=OUTLINE, markersize=7)
    ax.plot(columns[~inside], rows[~inside], "+", color="#9aa4ad", markersize=7)
    _box(ax, left, top, side, CORE, fill=0.12)
    _box(ax, left - margin, top - margin, side + 2 * margin, HALO, fill=0.08)
    ax.text(left + 4, top + 14, "block", color="white")
    ax.text(left - margin + 4, top - margin + 14, "margin", color="white")
    _save(figure, "blocks.png")


def dab(segmenter: Segmenter) -> None:
    """Draw nuclei in immunohistochemistry without and with the second run on the DAB-attenuated image."""
    picture = immunohistochemistry()
    figure, axes = _panels(1, 2, width=6.6, height=3.7)
    for ax, wanted in zip(axes, (False, True), strict=True):
        nuclei = segmenter.predict(picture, dab=wanted)
        _image(ax, picture, f"dab={wanted}: {len(nuclei)} nuclei")
        _draw_outlines(ax, nuclei.labels, colour="#0b5394")
    _save(figure, "dab.png")


def dab_scale(segmenter: Segmenter) -> None:
    """Draw nuclei in immunohistochemistry that is enlarged four times, at its own scale and at the scale found."""
    enlarged = resample(immunohistochemistry().astype(np.float32) / 255, 4)
    picture = np.rint(255 * enlarged).astype(np.uint8)
    reference = segmenter.bundle.config.diameter
    figure, axes = _panels(1, 2, width=6.6, height=3.7)
    for ax, diameter in zip(axes, (reference, None), strict=True):
        nuclei = segmenter.predict(picture, diameter=diameter)
        given = "default" if diameter is None else f"diameter={diameter:g}"
        _image(ax, picture[::4, ::4], f"{given}: {len(nuclei)} nuclei")
        _draw_outlines(ax, nuclei.labels[::4, ::4], colour="#0b5394")
    _save(figure, "dab_scale.png")


def _maps(nuclei: Segmentation, part: Any) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return foreground and centre as probabilities, and offsets in pixels."""
    assert nuclei.maps is not None
    values = nuclei.maps[part].astype(np.float32)
    return values[..., 0] / 255, values[..., 1] / 255, (values[..., 2:] - 128) / 2


def _unlike(labels: NDArray[np.uint32], reference: NDArray[np.uint32]) -> list[int]:
    """List the nuclei that overlap none of the reference by an IoU of 0.75 or more."""
    wrong = []
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        others = reference[inside]
        best = max(
            (np.sum(others == each) / np.sum(inside | (reference == each)) for each in np.unique(others[others > 0])),
            default=0,
        )
        if best < 0.75:
            wrong.append(int(label))
    return wrong


def _colours(labels: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Give every nucleus a colour."""
    turn = labels * 0.61803 % 1
    return hsv_to_rgb(np.stack([turn, np.full(labels.shape, 0.65), np.where(labels > 0, 0.95, 0.0)], axis=-1))


def _panels(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def _image(ax: Axes, pixels: NDArray[Any], title: str, *, cmap: str = "gray") -> None:
    ax.imshow(pixels, cmap=cmap, interpolation="nearest", vmax=1 if pixels.dtype.kind == "f" else None)
    ax.set_title(title, fontsize=11)
    ax.set_axis_off()


def _draw_outlines(ax: Axes, labels: NDArray[np.uint32], *, colour: str = OUTLINE, width: float = 1) -> None:
    for polygons in contours(labels).values():
        for rings in polygons:
            for ring in rings:
                closed = np.vstack([ring, ring[:1]]) - 0.5  # polygons have pixel edges at whole numbers
                ax.plot(closed[:, 0], closed[:, 1], color=colour, linewidth=width)


def _box(ax: Axes, left: float, top: float, side: float, colour: str, *, fill: float) -> None:
    ax.add_patch(Rectangle((left, top), side, side, facecolor=colour, alpha=fill, linewidth=0))
    ax.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=1.8))


def _save(figure: Figure, name: str) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, bbox_inches="tight", pad_inches=0.05)
    _shrink(IMAGES / name, content.getvalue())


def _shrink(path: Path, content: bytes) -> None:
    """Save a PNG with a palette: a third of the bytes, and no difference that one sees."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(colors=256, kmeans=2, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
