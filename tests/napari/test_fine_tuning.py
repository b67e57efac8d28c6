"""Fine-tuning in a process of its own."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.images import draw_nuclei
from nucleus_unet.errors import CancelledError, MissingExtraError, NucleusError
from nucleus_unet.model.bundle import load_bundle
from nucleus_unet.napari import fine_tuning
from nucleus_unet.napari.fine_tuning import FineTuning, check_extra, fine_tune
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.training_set import Corrected, write_training_set


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fine-tuning") / "Übung"
    pairs = [draw_nuclei((160, 140), count=8, seed=seed) for seed in (1, 2)]
    write_training_set(
        folder, [Corrected(f"{number}", np.rint(image * 255), labels) for number, (image, labels) in enumerate(pairs)]
    )
    return folder


def test_a_run_keeps_its_settings_as_text(tmp_path: Path) -> None:
    for run in (FineTuning(tmp_path, tmp_path / "ä", samples=8), FineTuning(tmp_path, tmp_path / "b", tmp_path / "c")):
        assert FineTuning.from_json(run.to_json()) == run


def replace_process(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Start a script in place of the training."""
    (folder / "in_place_of_training.py").write_text("import json, sys\n" + code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(fine_tuning, "PROCESS", "in_place_of_training")


def test_steps_and_metrics_of_the_process_are_read_between_lines_of_libraries(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = """
run = json.loads(sys.stdin.readline())
print("a library says something")
print(json.dumps({"step": "training", "done": 8, "total": 16}))
print(json.dumps([1, 2]))
print(json.dumps({"metrics": {"data": run["data"]}}), flush=True)
"""
    replace_process(monkeypatch, tmp_path, code)
    progress = Progress("start")
    metrics = fine_tune(FineTuning(tmp_path / "größe", tmp_path / "mine"), progress)
    assert metrics == {"data": str(tmp_path / "größe")}
    assert progress.latest == ("training", 8, 16)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.stdin.readline(); raise MemoryError('no memory is left')", "MemoryError: no memory is left"),
        ("sys.exit('cannot start')", "cannot start"),
        ("import os; os._exit(9)", "exit code 9"),
    ],
)
def test_a_process_that_dies_is_an_error_with_its_last_words(
    code: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replace_process(monkeypatch, tmp_path, code)
    with pytest.raises(NucleusError, match=f"training ended before it was done: (?s:.*){message}"):
        fine_tune(FineTuning(tmp_path, tmp_path / "mine"), Progress("start"))


@pytest.mark.heavy
def test_a_model_is_fine_tuned_and_steps_are_reported(data: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    progress, names = Progress("start"), []
    report = progress.report
    progress.report = lambda *step: (names.append(step), report(*step))  # type: ignore[method-assign,assign,func-returns-value]
    metrics = fine_tune(FineTuning(data, tmp_path / "mine", tiny_bundle, samples=16, device="cpu"), progress)
    assert ("training", 8, 16) in names
    assert names[-1][0] == "calibrating and evaluating"
    assert 0 <= metrics["validation"]["overall"]["pooled_ap"]["0.50"] <= 1
    assert "validation_pooled_ap50" in metrics["origin"]
    assert load_bundle(tmp_path / "mine").config.name == "mine"


def test_an_error_of_the_library_is_its_sentence(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(NucleusError, match="no labelled set found") as raised:
        fine_tune(FineTuning(tmp_path / "data", tmp_path / "mine", tiny_bundle), Progress(""))
    assert "Traceback" not in str(raised.value)


def test_a_run_that_is_cancelled_ends_at_once_and_makes_no_model(data: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    progress = Progress("start")
    timer = threading.Timer(1.0, progress.cancel.set)
    timer.start()
    with pytest.raises(CancelledError, match="the same again resumes it"):
        fine_tune(FineTuning(data, tmp_path / "mine", tiny_bundle, samples=100_000, device="cpu"), progress)
    timer.join()
    assert not (tmp_path / "mine" / "config.json").exists()


def test_without_torch_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(MissingExtraError, match=r"pip install 'nucleus-unet\[train\]'"):
        check_extra()
