"""A slide of 40,960 x 40,960 pixels with 250,000 nuclei: what it takes to look at it.

``pytest --log-cli-level=info`` shows the numbers.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import browser
from helpers.commands import INTERRUPTIBLE
from helpers.large_slides import LargeSlide, write_large_slide

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory"),
]


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> LargeSlide:
    return write_large_slide(tmp_path_factory.mktemp("large"))


class Served:
    """A viewer in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.url, self._process = url, process

    @property
    def peak(self) -> float:
        """Most memory that the process has had, in megabytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) / 1024

    def seconds(self, path: str) -> float:
        begun = time.perf_counter()
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            answer.read()
        return time.perf_counter() - begun


@pytest.fixture
def served(slide: LargeSlide) -> Iterator[Served]:
    command = [*INTERRUPTIBLE, "view", str(slide.results), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Served(process, process.stdout.readline().strip())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_tiles_of_every_level_come_quickly_and_memory_is_bounded(served: Served, slide: LargeSlide) -> None:
    with urllib.request.urlopen(served.url + "image/0", timeout=60) as answer:
        facts = json.load(answer)
    assert (facts["nuclei"], facts["width"], facts["problems"]) == (slide.nuclei, slide.side, [])
    rng = np.random.default_rng(0)
    seconds: list[float] = []
    for level in range(facts["levels"]):
        along = -(-(slide.side >> level) // 512)
        for row, column in rng.integers(0, along, (60, 2)):
            seconds.append(served.seconds(f"image/0/picture/{level}/{row}/{column}?channels=0,0,255,ffffff"))
            seconds.append(served.seconds(f"image/0/labels/{level}/{row}/{column}"))
    served.seconds("image/0/column/area")
    row_seconds = served.seconds("image/0/nucleus/200000")
    median, most = np.median(seconds), max(seconds)
    logger.info(
        f"{len(seconds)} tiles: median {median:.3f} s, slowest {most:.3f} s; row of a nucleus {row_seconds:.3f} s"
    )
    logger.info(f"memory at most {served.peak:.0f} MB")
    assert median < 0.2
    assert served.peak < 1000


def test_the_first_picture_comes_quickly(served: Served) -> None:
    with browser() as page:
        begun = time.perf_counter()
        page.open(served.url)
        page.wait_for("document.querySelector('#view')?.dataset.complete === 'true'")
        logger.info(f"first picture, whole and with outlines, after {time.perf_counter() - begun:.2f} s")
        for key in "+" * 14:
            page.key(key)
            page.key("ArrowRight")
            page.settle()
        timings = page.evaluate(
            "performance.getEntriesByType('resource').filter((each) => /picture|labels/.test(each.name))"
            ".map((each) => each.responseEnd - each.requestStart)"
        )
        logger.info(
            f"{len(timings)} tiles in the browser: median {np.median(timings):.0f} ms; {served.peak:.0f} MB at most"
        )
        assert page.errors == []
        assert page.evaluate("document.querySelector('#problems').innerText") == ""
