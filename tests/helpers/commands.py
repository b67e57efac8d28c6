"""The command line, run in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import signal
from nucleus_unet.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
INTERRUPTIBLE = [sys.executable, "-u", "-c", _PROGRAM]
"""Begins a command that Ctrl-C ends. Without this, it would ignore Ctrl-C if the tests run in the background."""


def run_script(script: str) -> None:
    """Run Python code in a process of its own, and fail with what it wrote if it fails."""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from nucleus_unet.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=cwd)


def results_in(out: Path) -> set[str]:
    """Names of the results of images in an output folder, without what tells of the run."""
    files = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    return {file.as_posix() for file in files if "nucleus-unet-run" not in file.parts and file.name != "summary.csv"}
