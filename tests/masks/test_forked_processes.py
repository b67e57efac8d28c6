"""Kernels in a forked child, as multiprocessing makes them on Linux, and when threads are started at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.commands import run_script

SCRIPT = """
import multiprocessing, numpy as np
from nucleus_unet.masks import labels_to_kaggle
labels = np.eye(1100, dtype=np.uint32)                        # large enough to be shared out
threads = {threads}
expected = labels_to_kaggle(labels, threads=threads)          # wakes the parent's threads
def child():
    assert labels_to_kaggle(labels, threads=threads) == expected
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
assert process.exitcode == 0, process.exitcode
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("threads", [None, 2])
def test_kernels_work_in_a_forked_child(threads: int | None) -> None:
    run_script(SCRIPT.format(threads=threads))


LITTLE = """
import os, numpy as np
from nucleus_unet.masks import coco_to_labels, kaggle_to_labels, labels_to_coco, labels_to_kaggle, rle_areas
labels = np.eye(300, dtype=np.uint32)
labels_to_coco(labels)                                        # may start those that serve whoever asks for no number
before = os.listdir("/proc/self/task")
rles = labels_to_coco(labels, threads=5)
assert labels_to_kaggle(coco_to_labels(rles.values(), threads=5)[0], threads=5) == labels_to_kaggle(labels, threads=5)
assert rle_areas(rles.values(), threads=5).tolist() == [300]
assert os.listdir("/proc/self/task") == before
labels_to_coco(np.eye(1100, dtype=np.uint32), threads=5)
assert len(os.listdir("/proc/self/task")) == len(before) + 5
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list threads there")
def test_no_thread_is_started_for_run_lengths_of_a_small_image() -> None:
    run_script(LITTLE)
