"""Studies: what is tried, what is kept, and how a study goes on."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from helpers.commands import run_script
from helpers.studies import SPACE, TINY, rows, run
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.model.network import Network
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.tuning import Space, read_space, training_job
from nucleus_unet.tuning.journal import open_journal
from nucleus_unet.tuning.search_space import Range, configured, read_settings
from nucleus_unet.tuning.study_runner import StudyRunner
from nucleus_unet.tuning.training_job import FIGURE
from nucleus_unet.tuning.trials import (
    MAX_RETRIES,
    WORKER,
    count_ended,
    cut_off_running,
    errors_of,
    open_study,
    states_of,
)
from optuna.storages import InMemoryStorage

Figures = Callable[[TrainConfig], list[float]]


@pytest.fixture
def train_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Figures], list[Path]]:
    """Replace training by a function of the configuration; return the folders that are trained in."""
    folders: list[Path] = []

    def replace(figures: Figures) -> list[Path]:
        def train(config: TrainConfig, *arguments: Any, report: Callable[[Any], None], **options: Any) -> Network:
            folders.append(arguments[1])
            found = figures(config)
            for step, figure in enumerate(found, 1):
                report(SimpleNamespace(position=config.samples * step // len(found), history=[{FIGURE: figure}]))
            return Network(config.network)

        monkeypatch.setattr(training_job, "train", train)
        return folders

    return replace


def test_a_real_study_trains_and_keeps_its_best_settings(tmp_path: Path) -> None:
    lines: list[str] = []
    best = run(tmp_path, trials=2, say=lines.append)
    assert json.loads((tmp_path / "best.json").read_text()) == best
    assert best[FIGURE] == max(float(row[FIGURE]) for row in rows(tmp_path))
    assert [row["state"] for row in rows(tmp_path)] == ["complete", "complete"]
    assert best["config"] == json.loads(json.dumps(dataclasses.asdict(configured(TINY, best["settings"]))))
    assert len(lines) == 2
    assert not list((tmp_path / "trials").iterdir())


def test_the_best_trial_is_the_one_of_highest_figure(tmp_path: Path, train_to: Callable[[Figures], list[Path]]) -> None:
    train_to(lambda config: [1 - config.network.dropout])
    best = run(tmp_path, trials=8)
    dropouts = [float(row["dropout"]) for row in rows(tmp_path)]
    assert best["settings"]["dropout"] == min(dropouts)
    assert best[FIGURE] == 1 - min(dropouts)
    assert len(set(dropouts)) == 8


def test_a_study_goes_on_until_so_many_trials_are_finished_in_all(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]]
) -> None:
    folders = train_to(lambda config: [config.network.dropout])
    run(tmp_path, trials=3)
    before = rows(tmp_path)
    run(tmp_path, trials=3)
    assert rows(tmp_path) == before
    run(tmp_path, trials=5)
    assert rows(tmp_path)[:3] == before
    assert len(folders) == len({row["dropout"] for row in rows(tmp_path)}) == 5


def test_a_trial_that_was_cut_off_is_taken_up_again_and_no_finished_one_is_lost(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]]
) -> None:
    seen: list[TrainConfig] = []

    def figures(config: TrainConfig) -> list[float]:
        seen.append(config)
        if len(seen) in (2, 3):
            raise KeyboardInterrupt  # leaves everything as a kill would
        return [0.5]

    folders = train_to(figures)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, trials=3)
        with (tmp_path / "journal.log").open("a") as file:
            file.write('{"op_code": 6, "wor')  # half a line
    run(tmp_path, trials=3)
    assert seen[1] == seen[2] == seen[3]
    assert [folder.name for folder in folders] == ["0", "1", "1", "1", "4"]
    assert [row["state"] for row in rows(tmp_path)] == ["complete", "cut off", "cut off", "complete", "complete"]


def test_a_trial_below_the_median_of_earlier_ones_is_stopped(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]]
) -> None:
    calls: list[int] = []

    def figures(config: TrainConfig) -> list[float]:
        calls.append(1)
        return [0.5, 0.6] if len(calls) <= 5 else [0.1, 0.9]

    train_to(figures)
    best = run(tmp_path, trials=6, space=Space({"dropout": Range(0.0, 0.5)}))
    assert [row["state"] for row in rows(tmp_path)] == ["complete"] * 5 + ["pruned"]
    assert best[FIGURE] == 0.6
    assert rows(tmp_path)[5]["samples"] == "2"


@pytest.mark.parametrize("error", [DataError("the loss is no longer finite"), torch.OutOfMemoryError("2 GiB more")])
def test_a_trial_that_cannot_be_trained_does_not_end_the_study(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]], error: Exception
) -> None:
    calls: list[int] = []

    def figures(config: TrainConfig) -> list[float]:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return [0.5]

    train_to(figures)
    with pytest.raises(DataError, match=rf"(?s)no trial.*{error}"):
        run(tmp_path, trials=1)
    assert run(tmp_path, trials=2)["trial"] == 1
    assert [row["state"] for row in rows(tmp_path)] == ["fail", "complete"]
    assert str(error) in (tmp_path / "report.html").read_text()


def test_the_first_trial_has_the_settings_of_the_base_where_the_space_holds_them(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]]
) -> None:
    seen: list[TrainConfig] = []

    def figures(config: TrainConfig) -> list[float]:
        seen.append(config)
        return [0.5]

    train_to(figures)
    space = Space({"dropout": Range(0.0, 0.5), "decoder": ([8, 8, 8, 8], list(TINY.network.decoder))})
    run(tmp_path / "inside", trials=2, space=space)
    run(tmp_path / "outside", trials=1, space=Space({"dropout": Range(0.1, 0.5)}))
    assert seen[0] == TINY
    assert TINY not in seen[1:]


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trials" / "patient-1").mkdir(parents=True)
    with pytest.raises(SettingsError, match="trials is no study's: choose a new folder"):
        run(tmp_path, trials=1)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["trials", "trials/patient-1"]


def test_the_packages_own_space_holds_the_default_settings() -> None:
    parameters = read_space().parameters_of(TrainConfig())
    assert parameters is not None
    assert configured(TrainConfig(), read_space().values_of(parameters)) == TrainConfig()


def test_the_packages_own_space_holds_only_what_the_form_has() -> None:
    assert set(read_space(form="lite0").settings) - set(read_space(form="plain").settings) == {"decoder"}


@pytest.mark.parametrize(("form", "foreign"), [("plain", "decoder"), ("lite0", "width")])
def test_a_space_of_another_form_is_refused(tmp_path: Path, form: str, foreign: str) -> None:
    (tmp_path / "space.toml").write_text("[decoder]\nchoices = [[8, 8, 8, 8]]\n[width]\nchoices = [8]")
    with pytest.raises(SettingsError, match=f"space.toml: a network of the form {form} has no {foreign}"):
        read_space(tmp_path / "space.toml", form=form)


def test_settings_whose_process_dies_again_and_again_fail_for_good() -> None:
    study = open_study(InMemoryStorage(), "study", seed=0)
    dropouts = []
    for _ in range(3):
        trial = study.ask()
        trial.set_user_attr(WORKER, "killed")
        dropouts.append(trial.suggest_float("dropout", 0, 1))
        cut_off_running(study, workers=["killed"], max_retry=MAX_RETRIES)
    assert len(set(dropouts)) == 1
    assert states_of(study.trials) == ["cut off", "cut off", "fail"]
    assert errors_of(study.trials) == {2: "its process died, as in the 2 attempts before"}
    assert count_ended(study) == 1


def test_the_trials_of_other_processes_are_not_cut_off() -> None:
    study = open_study(InMemoryStorage(), "study", seed=0)
    study.ask().set_user_attr(WORKER, "alive")
    study.ask()
    cut_off_running(study, workers=["killed"])
    assert states_of(study.trials) == ["running", "running"]


def test_a_trial_is_queued_once_even_if_the_process_is_killed_as_it_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_study(InMemoryStorage(), "study", seed=0)
    study.ask()

    def be_killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(study, "tell", be_killed)
        with pytest.raises(KeyboardInterrupt):
            cut_off_running(study)
    cut_off_running(study)
    assert states_of(study.trials) == ["cut off", "waiting"]


def test_a_budget_is_kept_by_processes_that_begin_its_last_trial_at_once(tmp_path: Path) -> None:
    study = open_study(InMemoryStorage(), "study", seed=0)
    other = optuna.load_study(study_name="study", storage=study._storage)
    played = SimpleNamespace(base=TINY, space=SPACE)

    def run_other_first(settings: Any, folder: Path, report: Any, **_: Any) -> float:
        if len(other.trials) == 1:
            other.tell(other.ask(), 0.5)
        return 0.4

    def ask_at_once() -> optuna.Trial:
        if len(other.trials) == 2:  # after this process has counted two trials, and before it begins the third
            other.tell(other.ask(), 0.5)
        return ask()

    played.run, ask, study.ask = run_other_first, study.ask, ask_at_once  # type: ignore[method-assign]
    StudyRunner(played, tmp_path, 3, None).run(study, lambda _: None)  # type: ignore[arg-type]
    assert states_of(study.trials) == ["complete"] * 3 + ["cut off", "waiting"]
    assert count_ended(study) == 3


def test_a_trial_that_another_machine_took_over_is_left_to_it(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]]
) -> None:
    calls: list[int] = []

    def figures(config: TrainConfig) -> list[float]:
        calls.append(1)
        if len(calls) == 1:
            cut_off_running(open_study(open_journal(tmp_path), "study", seed=None))
        return [0.5]

    train_to(figures)
    run(tmp_path, trials=2)
    assert [row["state"] for row in rows(tmp_path)] == ["cut off", "complete", "complete"]


@pytest.mark.parametrize("error", [OSError("no space left"), ValueError("a fault of the program")])
def test_an_error_that_no_settings_would_mend_ends_the_study(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]], error: Exception
) -> None:
    def figures(config: TrainConfig) -> list[float]:
        raise error

    train_to(figures)
    with pytest.raises(type(error), match=str(error)):
        run(tmp_path, trials=2)


def test_a_journal_whose_writer_was_killed_is_not_waited_for(
    tmp_path: Path, train_to: Callable[[Figures], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_to(lambda _: [0.5])
    script = """
import json, os, signal, sys
from pathlib import Path
from unittest.mock import patch
from nucleus_unet.tuning.journal import open_journal
from nucleus_unet.tuning.trials import open_study
open_study(open_journal(Path(sys.argv[1])), "other", seed=None)
with patch("os.fsync", lambda _: os.kill(os.getpid(), signal.SIGKILL)):  # while it holds the lock
    open_study(open_journal(Path(sys.argv[1])), "another", seed=None)
"""
    assert subprocess.run([sys.executable, "-c", script, tmp_path], check=False).returncode == -signal.SIGKILL
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits for a process that is gone"))
    assert run(tmp_path, trials=1)["trial"] == 0


def test_half_a_line_in_a_journal_is_removed_before_any_process_writes(tmp_path: Path) -> None:
    one, two = (open_study(open_journal(tmp_path), "study", seed=None) for _ in range(2))
    one.tell(one.ask(), 0.1)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 6, "wor')
    two.tell(two.ask(), 0.2)
    one.tell(one.ask(), 0.3)
    again = open_study(open_journal(tmp_path), "study", seed=None)
    assert [trial.value for trial in again.trials] == [0.1, 0.2, 0.3]


def test_a_folder_keeps_to_one_study(tmp_path: Path, train_to: Callable[[Figures], list[Path]]) -> None:
    train_to(lambda _: [0.5])
    run(tmp_path, trials=1)
    with pytest.raises(SettingsError, match=r"something else \(space differ"):
        run(tmp_path, trials=2, space=Space({"dropout": Range(0.0, 0.1)}))
    with pytest.raises(SettingsError, match=r"something else \(base, folds, held-out images, training images differ"):
        run(tmp_path, trials=2, base=dataclasses.replace(TINY, samples=8), folds=3)


def test_no_trial_is_begun_when_the_time_is_up(tmp_path: Path, train_to: Callable[[Figures], list[Path]]) -> None:
    train_to(lambda _: [0.5])
    with pytest.raises(DataError, match="no trial"):
        run(tmp_path, trials=5, hours=1e-12)
    for options in ({"trials": 0}, {"trials": 1, "hours": 0.0}):
        with pytest.raises(SettingsError, match="at least 1 trial"):
            run(tmp_path, **options)  # type: ignore[arg-type]


def test_settings_reach_the_part_of_the_configuration_they_belong_to() -> None:
    config = configured(TINY, {"dropout": 0.3, "strength": 0.2, "learning_rate": 1e-4, "decoder": [8, 8, 8, 4]})
    assert (config.network.dropout, config.network.decoder) == (0.3, (8, 8, 8, 4))
    assert (config.augment.strength, config.learning_rate) == (0.2, 1e-4)
    assert (
        configured(config, {"dropout": 0.0, "strength": 1.0, "learning_rate": 5e-3, "decoder": [128, 96, 48, 24]})
        == TINY
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one setting"),
        ("[[", "no readable TOML"),
        ("[speed]\nlow = 1\nhigh = 2", "speed is no setting.*dropout"),
        ("[samples]\nlow = 1\nhigh = 2", "samples is no setting"),
        ("[dropout]\nlow = 0.1", "dropout: expected choices"),
        ("[dropout]\nlow = 0.3\nhigh = 0.1", "dropout: expected choices"),
        ("[dropout]\nlow = 0.0\nhigh = 0.1\nlog = true", "log = true, above 0"),
        ("[dropout]\nlow = 0.0\nhigh = nan", "dropout: expected choices"),
        ("[dropout]\nlow = 0.0\nhigh = 1.5", "dropout = 1.5.*probability"),
        ("[dropout]\nchoices = []", "dropout: expected choices"),
        ("dropout = 0.1", "dropout: expected choices"),
        ("[decoder]\nchoices = [[1, 2]]", "decoder = .*four channel counts"),
        ("[batch_size]\nchoices = [0]", "batch_size"),
        ("[batch_size]\nchoices = [4, 8.5]", "batch_size = 8.5: expected a whole number"),
        ("[batch_size]\nlow = 4\nhigh = 8", "batch_size = 4.0: expected a whole number"),
        ("[strength]\nchoices = ['much']", "strength = 'much': expected a number"),
    ],
)
def test_a_space_that_training_could_not_use_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_space(tmp_path / "space.toml")


def test_the_best_settings_can_be_trained_with(tmp_path: Path, train_to: Callable[[Figures], list[Path]]) -> None:
    train_to(lambda config: [config.network.dropout])
    best = run(tmp_path, trials=2)
    config = configured(TINY, read_settings(tmp_path / "best.json"))
    assert json.loads(json.dumps(dataclasses.asdict(config))) == best["config"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no readable JSON"),
        ("[]", "expected the best.json"),
        ('{"settings": {"speed": 1}}', "speed is no setting"),
        ('{"settings": {"dropout": 2}}', "dropout = 2: .*probability"),
    ],
)
def test_settings_of_no_study_are_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_settings(tmp_path / "best.json")


def test_without_optuna_the_error_names_the_extra() -> None:
    script = """
import sys
sys.modules["optuna"] = None
from nucleus_unet.errors import MissingExtraError
from nucleus_unet.tuning.trials import require_optuna
try:
    require_optuna()
except MissingExtraError as error:
    assert "nucleus-unet[tune]" in str(error)
else:
    raise AssertionError
"""
    run_script(script)
