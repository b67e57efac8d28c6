"""The trials of a study: how many have begun, which were cut off, and how those are queued again.

A trial whose process was stopped or died is cut off: Optuna queues its settings again under a new number, and keeps
the numbers of the earlier attempts in the new trial. A trial that fails for a reason of its own has it as `ERROR`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nucleus_unet.extras import require

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage, RetryHeartbeatStaleTrialCallback
    from optuna.trial import FrozenTrial

ERROR = "error"
"""User attribute of a trial that failed: why."""
WORKER = "worker"
"""User attribute of a trial: name of the worker process that runs it; empty where there is no pool."""

# Settings that need too much memory would otherwise kill one process after another.
MAX_RETRIES = 2
_STARTUP_TRIALS = 5
_DIED = f"its process died, as in the {MAX_RETRIES} attempts before"


def require_optuna() -> None:
    """Say what to install if Optuna is missing."""
    require("optuna", "studies need Optuna", extra="tune")


def open_study(storage: BaseStorage, name: str, *, seed: int | None) -> Study:
    """Open a study, or make it.

    Parameters
    ----------
    storage
        Where the study is kept.
    name
        Name of the study in the storage.
    seed
        Seed of the proposals, together with the number of trials there are. Processes that share a study take None:
        with the same seed they would propose the same settings.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
    )
    study.sampler = optuna.samplers.TPESampler(
        # Not the bare seed: a study that goes on would propose its first settings again.
        seed=None if seed is None else seed + len(study.trials),
        n_startup_trials=_STARTUP_TRIALS,
    )
    return study


def folder_of(trial: FrozenTrial) -> str:
    """Return the name of a trial's checkpoint folder: the number of the first attempt."""
    return str([*_earlier_attempts(trial), trial.number][0])


def cut_off(trials: Iterable[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials that were queued again."""
    return {number for trial in trials for number in _earlier_attempts(trial)}


def states_of(trials: Iterable[FrozenTrial]) -> list[str]:
    """Return the state of each trial: waiting, running, complete, pruned, fail or cut off."""
    again = cut_off(trials := list(trials))
    return ["cut off" if trial.number in again else trial.state.name.lower() for trial in trials]


def errors_of(trials: Iterable[FrozenTrial]) -> dict[int, str]:
    """Return why trials failed, by their numbers."""
    states = zip(trials := list(trials), states_of(trials), strict=True)
    return {trial.number: trial.user_attrs.get(ERROR, _DIED) for trial, state in states if state == "fail"}


def count_ended(study: Study) -> int:
    """Count the trials that finished, were stopped early or failed; those that were cut off are not among them."""
    return _count(study, "complete", "pruned", "fail")


def count_begun(study: Study, *, before: int | None = None) -> int:
    """Count the trials that run or have ended, in any process; with `before`, only those of lower numbers."""
    return _count(study, "running", "complete", "pruned", "fail", before=before)


def retry(*, max_retry: int | None = None) -> RetryHeartbeatStaleTrialCallback:
    """Return what queues a trial again, unless it has been queued `max_retry` times before."""
    from optuna.storages import RetryHeartbeatStaleTrialCallback

    with experiments_allowed():
        return RetryHeartbeatStaleTrialCallback(max_retry=max_retry)


def queue_again(study: Study, trial: FrozenTrial, *, max_retry: int | None = None) -> None:
    """Queue the settings of a trial again, once."""
    if trial.number not in cut_off(study.trials):
        retry(max_retry=max_retry)(study, trial)


def cut_off_running(study: Study, *, workers: Iterable[str] | None = None, max_retry: int | None = None) -> None:
    """Queue running trials again and fail them, where their processes are gone.

    Parameters
    ----------
    study
        Open.
    workers
        Names of the processes that are gone; None for all processes.
    max_retry
        A trial that was queued so often before fails for good.
    """
    import optuna

    names = None if workers is None else set(workers)
    for trial in study.trials:
        if trial.state.name == "RUNNING" and (names is None or trial.user_attrs.get(WORKER) in names):
            # Queued first: killed in between, the next start finds it running still, and queues it no second time.
            queue_again(study, trial, max_retry=max_retry)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)


def fail_stale(study: Study) -> None:
    """Let Optuna queue the trials of other machines again whose heartbeats have stopped."""
    import optuna

    with experiments_allowed():
        optuna.storages.fail_stale_trials(study)


def _count(study: Study, *states: str, before: int | None = None) -> int:
    # One look at all trials: a trial that ends between two looks would be missed by both.
    return sum(state in states for state in states_of(study.trials)[:before])


def _earlier_attempts(trial: FrozenTrial) -> list[int]:
    from optuna.storages import RetryHeartbeatStaleTrialCallback

    with experiments_allowed():
        return RetryHeartbeatStaleTrialCallback.retry_history(trial)


def experiments_allowed() -> warnings.catch_warnings[None]:
    """Silence Optuna's warnings about interfaces that it calls experimental, in the context of a ``with``."""
    from optuna.exceptions import ExperimentalWarning

    return warnings.catch_warnings(action="ignore", category=ExperimentalWarning)
