"""One row of the benchmark: our kernel and its peers at the same work, in turns, after their answers were compared."""

from __future__ import annotations

import gc
import importlib
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

Task = Callable[[], Any]

SERIES = 0.003
"""Seconds for which short work is called again and again."""

OURS = "ours"

PEERS = {
    "cv2": "opencv-python-headless",
    "cc3d": "connected-components-3d",
    "edt": "edt",
    "fastremap": "fastremap",
    "skimage": "scikit-image",
    "scipy": "scipy",
    "pycocotools": "pycocotools",
    "rlemasklib": "rlemasklib",
    "PIL": "pillow",
    "imageio": "imageio",
}
"""Modules of the peers and the distributions that they come in."""


@dataclass(frozen=True)
class Contest:
    """Work for us and for peers.

    Attributes
    ----------
    kernel, case
        What is done, and to which image.
    threads
        Threads that ours and every peer that can be told so may use.
    ours, peers
        The work; what it returns is compared once, before anything is timed.
    agree
        Called with our result, a peer's name and its result; raises AssertionError where they differ.
    target
        How many times as fast as the best peer ours shall be; None where nothing is promised.
    against
        The peers that the target is about; empty for all.
    """

    kernel: str
    case: str
    threads: int
    ours: Task
    peers: Mapping[str, Task]
    agree: Callable[[Any, str, Any], None]
    target: float | None
    against: tuple[str, ...] = ()


@cache
def installed(module: str) -> ModuleType | None:
    """Import a peer; None where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def run(contest: Contest, *, rounds: tuple[int, int], seconds: float) -> dict[str, Any]:
    """Compare the answers, then time everybody in turns, and return the row.

    There are as many rounds as fit in about `seconds`, but from the first to the second number of `rounds`. A peer that
    raises is left out of the row, which says so. One whose first call takes longer than `seconds` is timed by it alone.
    In a round everybody calls so often as fits in `SERIES`, as timeit does: a single short call would mostly tell how
    cold the caches are.
    """
    if cv2 := installed("cv2"):
        cv2.setNumThreads(contest.threads)
    answer, spent = timed(contest.ours)
    works, failed = {OURS: contest.ours}, {}
    times: dict[str, list[float]] = {OURS: []}
    for name, work in contest.peers.items():
        try:
            theirs, took = timed(work)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
            continue
        try:
            contest.agree(answer, name, theirs)
        except AssertionError as error:
            raise AssertionError(f"{contest.kernel}, {contest.case}: ours differs from {name}: {error}") from error
        del theirs
        if took > seconds:
            times[name] = [took * 1000]
        else:
            works[name], times[name] = work, []
            spent += max(took, SERIES)
    del answer
    for _ in range(max(rounds[0], min(rounds[1], int(seconds / spent)))):
        for name, work in works.items():
            times[name].append(timed(work)[1] * 1000)
    return _row(contest, times, failed)


def timed(work: Task) -> tuple[Any, float]:
    """Return what work returns, and the mean time of its calls."""
    gc.collect()
    gc.disable()
    try:
        calls, start = 0, time.perf_counter()
        while True:
            result = work()
            calls += 1
            took = time.perf_counter() - start
            if took >= SERIES:
                return result, took / calls
    finally:
        gc.enable()


def _row(contest: Contest, times: Mapping[str, list[float]], failed: dict[str, str]) -> dict[str, Any]:
    medians = {name: statistics.median(each) for name, each in times.items()}
    ours = medians.pop(OURS)
    compared = {name: took for name, took in medians.items() if name in (contest.against or medians)}
    ratio = min(compared.values()) / ours if compared else None
    return {
        "kernel": contest.kernel,
        "case": contest.case,
        "threads": contest.threads,
        "ours_ms": ours,
        "peers": medians,
        "spread_ms": {name: _quartiles(each) for name, each in times.items()},
        "rounds": len(times[OURS]),
        "failed": failed,
        "ratio_to_best_peer": min(medians.values()) / ours if medians else None,
        "target": contest.target,
        "target_against": list(contest.against) or "best",
        "ratio_to_target_peer": ratio,
        "met": None if ratio is None or contest.target is None else ratio >= contest.target,
    }


def _quartiles(times: list[float]) -> list[float]:
    """Lower and upper quartile; of a single time itself."""
    if len(times) == 1:
        return times * 2
    lower, _, upper = statistics.quantiles(times, n=4, method="inclusive")
    return [lower, upper]
