"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A property that holds is no less true on a busy machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets, which are not part of the repository; tests that need them skip without."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("NUCLEUS_DATA", default))
    if not (folder / "dsb2018" / "stage1_train.zip").exists():
        pytest.skip("the real data sets are absent (set NUCLEUS_DATA to their folder)")
    return folder
