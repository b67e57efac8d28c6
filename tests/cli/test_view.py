from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from helpers.commands import INTERRUPTIBLE, run
from helpers.slide_results import written


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
def test_the_address_is_printed_and_control_c_ends_it(tmp_path: Path) -> None:
    results = written(tmp_path / "out").folder
    command = [*INTERRUPTIBLE, "view", results, "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}images", timeout=20) as answer:
            assert b'"nuclei": 3' in answer.read()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()  # else the end of the block would wait for a program that does not end
    assert (process.returncode, output.strip(), errors) == (0, "ended", "")


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    results = written(tmp_path / "out").folder
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("view", results, "--no-browser", "--port", str(taken.getsockname()[1]))
    assert (ended.returncode, "another program uses port" in ended.stderr) == (2, True)


def test_what_is_no_result_is_one_sentence(tmp_path: Path) -> None:
    ended = run("view", tmp_path, "--no-browser")
    assert (ended.returncode, "holds no results of nucleus-unet" in " ".join(ended.stderr.split())) == (2, True)
    assert "Traceback" not in ended.stderr
