"""Studies in several processes: they share one study, and none of them may be missed when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.paths import TESTS
from helpers.studies import (
    PATIENCE,
    BrokenJob,
    DyingOnceJob,
    MeetingJob,
    PlayedJob,
    begun,
    is_gone,
    play,
    rows,
    run,
    wait_until,
)
from nucleus_unet.errors import SettingsError
from nucleus_unet.tuning.training_job import FIGURE
from nucleus_unet.tuning.worker_pool import share_devices


def test_a_real_study_in_two_processes_has_exactly_as_many_trials_as_asked_for(tmp_path: Path) -> None:
    best = run(tmp_path, trials=3, processes=2)
    assert [row["state"] for row in rows(tmp_path)] == ["complete"] * 3
    assert best[FIGURE] == max(float(row[FIGURE]) for row in rows(tmp_path))
    assert not list((tmp_path / "trials").iterdir())


def test_processes_run_at_once_and_share_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, tmp_path / "scene", MeetingJob)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    run(tmp_path / "out", trials=4, processes=2)
    players = begun(tmp_path / "scene")
    assert len(players) == 4
    assert os.getpid() not in {int(player[0]) for player in players}
    assert {tuple(player[3:]) for player in players} == {("3", "cpu")}


def test_the_trial_of_a_killed_worker_is_run_again_at_once_and_nothing_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, tmp_path / "scene", DyingOnceJob)
    lines: list[str] = []
    run(tmp_path / "out", trials=4, processes=2, say=lines.append)
    states = [row["state"] for row in rows(tmp_path / "out")]
    assert sorted(states) == ["complete"] * 4 + ["cut off"]
    lost = states.index("cut off")
    assert "a process died (exit code -9); its trial is run again" in lines
    dropouts = [row["dropout"] for row in rows(tmp_path / "out")]
    (again,) = (number for number, dropout in enumerate(dropouts) if dropout == dropouts[lost] and number != lost)
    assert [folder for _, folder, dropout, *_ in begun(tmp_path / "scene") if dropout == dropouts[lost]] == [
        str(lost)
    ] * 2
    assert states[again] == "complete"


def test_an_error_that_no_settings_would_mend_ends_the_study_as_it_does_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, tmp_path / "scene", BrokenJob)
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path / "out", trials=2, processes=2)
    assert all(is_gone(int(process)) for process, *_ in begun(tmp_path / "scene"))


SCRIPT = """
import signal
import sys
from pathlib import Path
import pytest
from helpers.studies import StuckJob, play, run

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background has it ignored
    with pytest.MonkeyPatch.context() as patch:
        play(patch, Path(sys.argv[1]) / "scene", StuckJob)
        run(Path(sys.argv[1]) / "out", trials=3, processes=2)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.heavy)])
def test_a_parent_that_is_stopped_leaves_no_process_behind_and_loses_no_finished_trial(
    tmp_path: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    scene = tmp_path / "scene"
    wait_until(lambda: ((scene / "begun").exists() and len(begun(scene)) == 3) or parent.poll() is not None)
    before = rows(tmp_path / "out")[0]
    assert before["state"] == "complete"
    parent.send_signal(how)
    assert parent.wait(PATIENCE) != 0
    workers = {int(process) for process, *_ in begun(scene)}
    assert len(workers) == 2
    wait_until(lambda: all(map(is_gone, workers)))

    play(monkeypatch, scene, PlayedJob)
    run(tmp_path / "out", trials=3)
    after = rows(tmp_path / "out")
    assert after[0] == before
    assert [row["state"] for row in after] == ["complete", "cut off", "cut off", "complete", "complete"]
    assert [row["dropout"] for row in after[3:]] == [row["dropout"] for row in after[1:3]]


def test_no_trial_is_begun_in_any_process_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, tmp_path / "scene", PlayedJob)
    run(tmp_path / "out", trials=1)
    run(tmp_path / "out", trials=9, hours=1e-12, processes=2)
    assert len(rows(tmp_path / "out")) == 1


def test_gpus_are_dealt_out_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleus_unet.tuning.worker_pool.choose_device", str)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert share_devices("cuda", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert share_devices("cuda:1", 2) == ["cuda:1", "cuda:1"]


def test_no_process_is_no_number_of_processes(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="1 process"):
        run(tmp_path, trials=1, processes=0)
