"""The page in a headless Chromium; skipped where there is none."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.browser import Page, browser
from helpers.classifiers import threshold_classifier
from helpers.slide_results import LABELS, PICTURE, written
from nucleus_unet import view
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides.source import SlideSource
from nucleus_unet.viewer import Viewer
from nucleus_unet.viewer.server import ResultServer
from numpy.typing import NDArray

SIZES = [(1280, 800), (390, 844)]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("slide")
    run = written(folder / "out")
    tifffile.imwrite(folder / "slide.tif", PICTURE.astype(np.uint16) * 100, tile=(256, 256))
    SlideSource(str(folder / "slide.tif")).write(run.folder)
    with view(run.folder) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def images(
    tmp_path_factory: pytest.TempPathFactory, segmenter: Segmenter, discs: NDArray[np.uint8]
) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("images")
    for name in ("plate A1", "plate A2", "plate B1"):
        (folder / f"{name}.png").write_bytes(bytes(imagecodecs.png_encode(discs)))
    segmenter.predict_files(folder, out=folder / "out", formats=["tif", "csv"], classifier=threshold_classifier())
    with view(folder / "out") as viewer:
        yield viewer


def opened(page: Page, viewer: Viewer, *, size: tuple[int, int] = (1280, 800), dark: bool = False) -> Page:
    page.open(viewer.url, width=size[0], height=size[1], dark=dark)
    page.settle()
    page.wait_for("document.querySelector('#histogram').height > 0 || innerWidth < 500")
    return page


def picture(page: Page) -> NDArray[np.uint8]:
    page.settle()
    pixels: NDArray[np.uint8] = imagecodecs.png_decode(page.screenshot())
    return pixels[..., :3]


def place_of(page: Page, label: int) -> tuple[float, float]:
    """Where the middle of a nucleus is in the window, while all of the slide is shown."""
    rows, columns = np.nonzero(label == LABELS)
    box = json.loads(page.evaluate("JSON.stringify(document.querySelector('#view').getBoundingClientRect())"))
    zoom = min(box["width"] / LABELS.shape[1], box["height"] / LABELS.shape[0])
    down, across = (float(np.median(each)) + 0.5 for each in (rows, columns))
    return (
        box["left"] + box["width"] / 2 + (across - LABELS.shape[1] / 2) * zoom,
        box["top"] + box["height"] / 2 + (down - LABELS.shape[0] / 2) * zoom,
    )


def text(page: Page, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector({selector!r}).innerText"))


def is_yellow(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = (pixels[..., each].astype(int) for each in range(3))
    return (red > 200) & (green > 140) & (blue < 90)


def test_nothing_is_asked_of_another_origin(page: Page, slide: Viewer) -> None:
    page.requests.clear()
    opened(page, slide)
    own = urlsplit(slide.url).netloc
    asked = [each for each in page.requests if not each.startswith(("data:", "blob:", "about:"))]
    assert len(asked) > 8
    assert {urlsplit(each).netloc for each in asked} == {own}
    assert page.errors == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_page_fits_its_window(page: Page, slide: Viewer, size: tuple[int, int], dark: bool) -> None:
    opened(page, slide, size=size, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.evaluate("document.documentElement.scrollHeight") == size[1]
    header = picture(page)[4, size[0] // 2].mean()
    assert header < 80 if dark else header > 220


def test_outlines_are_drawn_and_hidden_by_a_key(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    with_outlines = is_yellow(picture(page)).sum()
    page.key("h")
    without = is_yellow(picture(page)).sum()
    page.key("h")
    assert with_outlines > 1000 > without


def test_fill_colours_the_inside(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    before = picture(page)
    page.key("f")
    x, y = (int(each) for each in place_of(page, label_of_disc()))
    after = picture(page)
    assert not np.array_equal(before[y, x], after[y, x])
    assert after[y, x, 0] > after[y, x, 2] + 30


def label_of_disc() -> int:
    """The label of the largest disc; only the square with holes is larger."""
    return int(np.argsort(np.bincount(LABELS.ravel())[1:])[-2]) + 1


def test_a_click_shows_the_row_of_the_nucleus(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    label = label_of_disc()
    page.drag(place_of(page, label))
    page.wait_for("document.querySelector('#nucleus tr')")
    rows = dict(line.split("\t") for line in text(page, "#nucleus").splitlines())
    assert rows["label"] == str(label)
    assert rows["area"] == f"{np.count_nonzero(label == LABELS)}"
    page.key("Escape")
    page.wait_for("!document.querySelector('#nucleus tr')")


def test_the_row_of_a_classified_nucleus_has_its_class(page: Page, images: Viewer) -> None:
    opened(page, images)
    page.evaluate("document.querySelector('#find-label').value = 1; document.querySelector('#find').requestSubmit()")
    page.wait_for("document.querySelector('#nucleus tr')")
    rows = dict(line.split("\t") for line in text(page, "#nucleus").splitlines())
    assert rows["class"] in {"dim", "bright, very"}
    assert float(rows["class_probability_dim"]) <= 1


def test_a_nucleus_is_found_by_its_number(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    page.evaluate("document.querySelector('#find-label').value = 200; document.querySelector('#find').requestSubmit()")
    page.wait_for("document.querySelector('#nucleus tr')")
    page.settle()
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=488, y=418)
    page.wait_for("document.querySelector('#status').innerText.includes('nucleus 200')")


def test_a_range_of_the_histogram_marks_its_nuclei(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    areas = np.bincount(LABELS.ravel())[1:]
    page.evaluate(
        "for (const [id, value] of [['range-low', 100], ['range-high', 300]]) {"
        "const input = document.getElementById(id); input.value = value; input.dispatchEvent(new Event('change')); }"
    )
    expected = np.count_nonzero((areas >= 100) & (areas <= 300))
    page.wait_for(f"document.querySelector('#range-count').innerText === '{expected} of {len(areas)} nuclei'")


def test_a_range_is_dragged_with_the_mouse(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    before = is_yellow(picture(page)).sum()
    box = json.loads(page.evaluate("JSON.stringify(document.querySelector('#histogram').getBoundingClientRect())"))
    middle = box["top"] + box["height"] / 2
    page.drag((box["left"] + box["width"] * 0.9, middle), (box["left"] + box["width"] - 1, middle))
    page.wait_for("/^[0-9]+ of /.test(document.querySelector('#range-count').innerText)")
    assert is_yellow(picture(page)).sum() < before / 2


def test_nuclei_are_coloured_by_a_measure(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    page.evaluate(
        "const chosen = document.querySelector('#colour-by'); chosen.value = 'probability';"
        "chosen.dispatchEvent(new Event('change'))"
    )
    page.wait_for("!document.querySelector('#legend').hidden")
    pixels = picture(page)[:, :970].astype(int)
    violet = (pixels[..., 2] > pixels[..., 1] + 40) & (pixels[..., 0] < 110)
    green = (pixels[..., 1] > pixels[..., 0] + 40) & (pixels[..., 1] > pixels[..., 2] + 20)
    assert violet.sum() > 100
    assert green.sum() > 100


def test_the_contrast_changes_the_picture(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    page.key("h")
    before = picture(page)[100:700, 100:900].mean()
    page.evaluate(
        "const white = document.querySelectorAll('#channels input[type=number]')[1];"
        "white.value = 200000; white.dispatchEvent(new Event('change'))"
    )
    page.wait_for("performance.getEntriesByType('resource').some((each) => each.name.includes('200000'))")
    time.sleep(0.1)
    assert picture(page)[100:700, 100:900].mean() < before - 20


def test_the_scale_bar_is_as_long_as_it_says(page: Page, slide: Viewer) -> None:
    opened(page, slide)
    for key in ("0", "1", "+"):
        page.key(key)
        page.settle()
        length = float(page.evaluate("document.querySelector('#bar-line').getBoundingClientRect().width"))
        said, unit = text(page, "#bar-text").split()
        box = json.loads(page.evaluate("JSON.stringify(document.querySelector('#view').getBoundingClientRect())"))
        zoom = {"0": min(box["width"] / 2100, box["height"] / 1300), "1": 1, "+": 1.5}[key]
        assert unit == "µm"
        assert length / zoom * 0.25 == pytest.approx(float(said), rel=0.02)


def test_keys_go_through_the_images_and_the_search_box_finds_one(page: Page, images: Viewer) -> None:
    opened(page, images)
    assert text(page, "#title").startswith("plate A1")
    page.key("n")
    page.wait_for("document.querySelector('#title').innerText.startsWith('plate A2')")
    page.key("p")
    page.wait_for("document.querySelector('#title').innerText.startsWith('plate A1')")
    page.key("/")
    for letter in "b1":
        page.key(letter)
    page.wait_for("document.querySelectorAll('#images li').length === 1")
    page.evaluate("document.querySelector('#images button').click()")
    page.wait_for("document.querySelector('#title').innerText.startsWith('plate B1')")
    assert text(page, "#count").startswith("1 image, ")


def test_on_a_phone_the_list_and_the_settings_open_on_demand(page: Page, images: Viewer) -> None:
    opened(page, images, size=(390, 844))
    shown = "getComputedStyle(document.querySelector('#{}')).display !== 'none'"
    assert not page.evaluate(shown.format("panel"))
    page.evaluate("document.querySelector('#show-panel').click()")
    page.wait_for(shown.format("panel"))
    page.evaluate("document.querySelector('#show-list').click()")
    page.wait_for(shown.format("list"))
    assert not page.evaluate(shown.format("panel"))
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_name_is_text_and_never_a_part_of_the_page(page: Page, slide: Viewer) -> None:
    (result,) = slide._server.results
    named = replace(result, name="<img src=x onerror=alert(1)>")
    with Viewer(ResultServer([named, result], title="<b>", port=0)) as viewer:
        opened(page, viewer)
        assert page.evaluate("document.querySelectorAll('#list img, #title b, #title img').length") == 0
        assert "<img" in text(page, "#images")
        assert "<img" in text(page, "#title")
        assert page.errors == []
