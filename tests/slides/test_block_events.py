"""The results of a slide are written while tasks run. If either fails, both end."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import draw_discs
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.slides import run
from nucleus_unet.slides.scheduler import BlockEvents, Cancelled
from nucleus_unet.slides.tasks import SlideTasks
from numpy.typing import NDArray


def waiting(events: BlockEvents, block: int) -> tuple[threading.Thread, list[BaseException | None]]:
    """Start to wait for a block; the list gets what came of it."""
    outcome: list[BaseException | None] = []

    def wait() -> None:
        try:
            events.wait_for(block)
            outcome.append(None)
        except Cancelled as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread, outcome


def test_who_waits_for_a_block_goes_on_when_it_comes() -> None:
    events = BlockEvents()
    thread, outcome = waiting(events, 3)
    events.mark_finished(5)
    thread.join(0.05)
    assert thread.is_alive()
    events.mark_finished(3)
    thread.join(10)
    assert outcome == [None]


def test_when_the_work_is_abandoned_nobody_goes_on() -> None:
    events = BlockEvents()
    events.mark_finished(1)
    thread, outcome = waiting(events, 2)
    events.check_cancelled()
    events.cancel()
    thread.join(10)
    assert [type(each) for each in outcome] == [Cancelled]
    with pytest.raises(Cancelled):
        events.wait_for(1)


@pytest.fixture
def slide() -> NDArray[np.uint8]:
    return draw_discs((600, 500), [(row, column, 7) for row in range(20, 590, 40) for column in range(20, 490, 40)])


def test_results_that_cannot_be_written_end_the_work_early(
    segmenter: Segmenter, slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    predict = SlideTasks.predict
    monkeypatch.setattr(SlideTasks, "predict", lambda tasks, tile: (calls.append(1), predict(tasks, tile))[1])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "write_results", fail)
    with pytest.raises(OSError, match="No space left"):
        segmenter.predict_slide(slide, out=tmp_path / "out", tile=160, block=100, tissue=False)
    ended_early = len(calls)
    monkeypatch.undo()
    monkeypatch.setattr(SlideTasks, "predict", lambda tasks, tile: (calls.append(1), predict(tasks, tile))[1])
    segmenter.predict_slide(slide, out=tmp_path / "other", tile=160, block=100, tissue=False)
    assert ended_early < len(calls) - ended_early


def test_a_tile_that_fails_ends_the_writing_and_leaves_no_part_of_a_result(
    segmenter: Segmenter, slide: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    predict = SlideTasks.predict

    def fail_late(tasks: SlideTasks, tile: tuple[int, NDArray[np.float32]]) -> NDArray[np.uint8]:
        calls.append(1)
        if len(calls) > 12:
            raise MemoryError("no more")
        return predict(tasks, tile)

    monkeypatch.setattr(SlideTasks, "predict", fail_late)
    with pytest.raises(MemoryError, match="no more"):
        segmenter.predict_slide(slide, out=tmp_path / "out", tile=160, block=100, tissue=False)
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"lock", "plan.json", "survey.json", "work"}
    monkeypatch.undo()
    found = segmenter.predict_slide(slide, out=tmp_path / "out", tile=160, block=100, tissue=False)
    assert len(found) == len(segmenter.predict(slide))
