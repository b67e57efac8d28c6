"""Kernels in a forked child, as multiprocessing makes them on Linux."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import multiprocessing, numpy as np
from nucleus_unet.masks import labels_to_kaggle
labels = np.eye(300, dtype=np.uint32)
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
    subprocess.run([sys.executable, "-c", SCRIPT.format(threads=threads)], check=True, timeout=120)
