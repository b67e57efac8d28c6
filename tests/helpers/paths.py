"""Folders of the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
EXAMPLES = ROOT / "examples" / "dsb2018"
"""Six labelled images, which are part of the repository."""
