"""Calls in a thread that report and can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import Any

import pytest
from nucleus_unet.napari.jobs import Job, Progress, Step


def last(steps: Generator[Step, None, Any], seen: list[Step]) -> Any:
    """Read the steps that are left, and return the result of the call."""
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value


def test_steps_are_yielded_until_the_call_ends() -> None:
    go_on = threading.Event()

    def call(progress: Progress) -> str:
        progress.report("tiles", 2, 5)
        go_on.wait(10)
        progress.report("tiles", 5, 5)
        return "done"

    steps = Job(call, name="starting").steps()
    seen = [next(steps)]
    while seen[-1] != Step("tiles", 2, 5):
        seen.append(next(steps))
    go_on.set()
    assert last(steps, seen) == "done"
    assert seen[-1] == Step("tiles", 5, 5)


def test_an_error_of_the_call_is_raised_where_steps_are_read() -> None:
    def call(_progress: Progress) -> None:
        raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"):
        list(Job(call, name="starting").steps())


def test_a_job_that_is_cancelled_sets_the_event_of_its_call() -> None:
    job = Job(lambda progress: progress.cancel.wait(10), name="waiting")
    steps = job.steps()
    next(steps)
    job.cancel()
    assert last(steps, []) is True


def test_a_viewer_that_closes_ends_the_call() -> None:
    ended = threading.Event()

    def call(progress: Progress) -> None:
        if progress.cancel.wait(10):
            ended.set()

    steps = Job(call, name="waiting").steps()
    next(steps)
    steps.close()
    assert ended.is_set()
