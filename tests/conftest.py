"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets, which are not part of the repository; tests that need them skip without."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("NUCLEUS_DATA", default))
    if not (folder / "dsb2018" / "stage1_train.zip").exists():
        pytest.skip("the real data sets are absent (set NUCLEUS_DATA to their folder)")
    return folder
