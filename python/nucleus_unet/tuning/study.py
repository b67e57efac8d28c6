"""A study: trials with settings of their own, the poor ones stopped early, all kept in one folder or one database.

The folder holds Optuna's journal, which survives being killed: finished trials are never lost, and a trial that was cut
off is taken up again, from its own last checkpoint. A database does the same for several machines, each with a folder
of its own for checkpoints and results.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.locks import locked
from nucleus_unet.reports.page import require_page_packages
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.tuning.database import Database, errors_for_people, open_database, taking_turns
from nucleus_unet.tuning.journal import open_journal
from nucleus_unet.tuning.results import write_results
from nucleus_unet.tuning.search_space import Space
from nucleus_unet.tuning.study_runner import TRIALS, StudyRunner
from nucleus_unet.tuning.training_job import Job
from nucleus_unet.tuning.trials import count_ended, cut_off_running, errors_of, open_study, require_optuna
from nucleus_unet.tuning.worker_pool import run_in_processes

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)

_STATED = "study.json"
_LOCK_PATIENCE = 10.0


def tune(
    examples: Sequence[Example],
    out: Path,
    *,
    space: Space,
    base: TrainConfig | None = None,
    trials: int = 20,
    hours: float | None = None,
    folds: int = 10,
    device: str = "auto",
    workers: int = 1,
    processes: int = 1,
    database: Database | None = None,
    say: Callable[[str], object] = logger.info,
) -> dict[str, Any]:
    """Look for the settings whose model is best on the held-out fold.

    The first trial has the settings of ``base``, if they lie in the space. Values of the others are proposed by a
    tree-structured Parzen estimator (Bergstra et al. 2011); a trial below the median of the earlier ones at the same
    sample is stopped. Calling it again goes on until `trials` are finished in all.

    Parameters
    ----------
    examples
        Labelled images; the first of `folds` folds is held out, as `nucleus_unet.training.pipeline` does.
    out
        Folder of the study. After each trial ``best.json`` has the best settings so far, ``trials.csv`` all trials, and
        ``report.html`` both for people. Models are not kept: the best settings are there to be trained with in full.
    space
        What is tried.
    base
        All other settings of training; its `samples` are those of one trial.
    trials
        How many are to be finished, stopped early or failed, those of earlier calls and other machines included.
    hours
        After which no new trial is begun; None for no limit.
    folds, device, workers
        As training takes them.
    processes
        How many trials are run at once, each in a process of its own if more than 1. They share the threads of torch,
        and the GPUs where there are several. A script must ask for them under ``if __name__ == "__main__":``.
    database
        Shares the study with other machines, each with another `out`. The call ends when all of their trials have.
    say
        Gets a line for every trial.

    Returns
    -------
    dict
        What ``best.json`` holds.

    Raises
    ------
    SettingsError
        An option is out of range, the folder or the database holds a study of something else, or another process is
        busy with the folder.
    DatabaseError
        The database cannot be used; what was finished is in it.
    DataError
        No trial could be finished.
    MissingExtraError
        Optuna, matplotlib or Jinja2 is missing, or psycopg for a database.
    """
    if trials < 1 or (hours is not None and not hours > 0) or processes < 1:
        raise SettingsError(
            f"expected at least 1 trial and 1 process and more than 0 hours, got {trials}, {processes} and {hours}"
        )
    require_optuna()
    require_page_packages()
    end = None if hours is None else time.time() + 3600 * hours
    job = Job(examples, space, base or TrainConfig(), folds=folds, device=device, workers=workers)
    if (out / TRIALS).exists() and not (out / _STATED).exists():  # folders of trials that have ended are deleted
        raise SettingsError(f"out: {out / TRIALS} is no study's: choose a new folder")
    out.mkdir(parents=True, exist_ok=True)
    busy = f"another process is busy with the study in {out}: wait for it"
    with locked(out, patience=_LOCK_PATIENCE, busy=busy), errors_for_people():
        study = _open_folder(job, out, processes) if database is None else _open_shared(job, out, database)

        def ended(number: int) -> None:
            write_results(study, job, out)
            say(_line(study.trials[number]))

        processes = min(processes, trials - count_ended(study))
        runner = StudyRunner(job, out, trials, end)
        if processes > 1:
            open_again = partial(_open_again, out, study.study_name, database)
            run_in_processes(runner, study, open_again, ended, count=processes, say=say)
        else:
            runner.run(study, ended)
        best = write_results(study, job, out)
        if best is None:
            lines = [f"  trial {number}: {error}" for number, error in errors_of(study.trials).items()]
            raise DataError("\n".join([f"no trial of the study in {out} was finished", *lines[:5]]))
    return best


def _open_folder(job: Job, out: Path, processes: int) -> Study:
    """Open the study of a folder that no other process works on, and queue again what was cut off."""
    stated = {**job.stated(), "storage": "journal"}
    _agree_with_folder(out, stated)
    _state(out, stated)
    study = open_study(open_journal(out), "study", seed=job.base.seed if processes == 1 else None)
    cut_off_running(study)
    _propose_defaults(study, job)
    return study


def _open_shared(job: Job, out: Path, database: Database) -> Study:
    """Open the study of a database, sure that all machines were given the same."""
    stated = job.stated()
    name = database.study or out.resolve().name
    in_folder = {**stated, "storage": f"database, study {name}"}
    storage = open_database(database)
    _agree_with_folder(out, in_folder)
    with taking_turns(storage.engine):
        study = open_study(storage, name, seed=None)
        _agree_with_study(study, stated)
        _propose_defaults(study, job)
    _state(out, in_folder)
    return study


def _open_again(out: Path, name: str, database: Database | None) -> Study:
    """Open a study that exists, in a process that shares it with others."""
    return open_study(open_journal(out) if database is None else open_database(database), name, seed=None)


def _propose_defaults(study: Study, job: Job) -> None:
    """Let the first trial have the settings that the others are to be better than."""
    parameters = job.space.parameters_of(job.base)
    if parameters is not None and not study.trials:
        study.enqueue_trial(parameters)


def _state(out: Path, stated: dict[str, Any]) -> None:
    if not (out / _STATED).exists():
        write_atomically(out / _STATED, json.dumps(stated, indent=2) + "\n")


def _agree_with_folder(out: Path, stated: dict[str, Any]) -> None:
    """Refuse to mix trials of different studies."""
    path = out / _STATED
    if not path.exists():
        return
    try:
        before = read_json(path)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; choose another folder") from error
    advice = "give the same to go on with it, or another folder to start afresh"
    _refuse_other(before, stated, f"{out} holds a study", advice)


def _agree_with_study(study: Study, stated: dict[str, Any]) -> None:
    """Refuse to mix trials of machines that were given different things."""
    if _STATED not in study.user_attrs:
        study.set_user_attr(_STATED, stated)
    advice = "give all machines the same images and options, or choose another name for the study"
    _refuse_other(study.user_attrs[_STATED], stated, f"the database holds a study {study.study_name!r}", advice)


def _refuse_other(before: object, stated: dict[str, Any], holder: str, advice: str) -> None:
    differing = sorted(name for name in stated if not isinstance(before, dict) or before.get(name) != stated[name])
    if differing:
        raise SettingsError(f"{holder} of something else ({', '.join(differing)} differ): {advice}")


def _line(trial: FrozenTrial) -> str:
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items()
    )
    state = {"COMPLETE": f"mSA {trial.value or 0:.4f}", "PRUNED": "stopped early"}.get(trial.state.name, "failed")
    return f"trial {trial.number}: {state}; {settings}"
