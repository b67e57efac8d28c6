"""The trials of a study: how they are proposed, which have ended, and how those that were cut off are taken up again.

A trial that fails for a reason of its own says which (`ERROR`). One that failed without a reason was cut off: its
process was stopped, killed, or not heard of any more. Its settings are queued again under a new number.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from nucleus_unet.extras import require

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

ERROR = "error"
"""User attribute of a trial that failed: why."""
FOLDER = "folder"
"""User attribute of a trial that is taken up again: where the first one trained."""

_AGAIN = "again"
_DEATHS = "deaths"
# Settings that need too much memory would otherwise kill one process after another.
_MOST_DEATHS = 3
_STARTUP_TRIALS = 5


def require_optuna() -> None:
    """Say what to install if Optuna is missing."""
    require("optuna", "studies need Optuna", extra="tune")


def open_study(storage: BaseStorage, name: str, *, seed: int | None) -> Study:
    """Open a study, or make it.

    Parameters
    ----------
    storage
        That keeps it.
    name
        Of the study in the storage.
    seed
        Of the proposals, together with the number of trials there are; None for none.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
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


def ask(study: Study) -> Trial:
    """Begin a trial: one that is queued, or a new one."""
    with warnings.catch_warnings():
        # Optuna thinks that nobody gives signs of life but its own loop.
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        return study.ask()


def folder_of(trial: FrozenTrial | Trial) -> str:
    """Return the name of the folder that a trial trains in, or would go on in."""
    return str(trial.user_attrs.get(FOLDER, trial.number))


def was_cut_off(trial: FrozenTrial) -> bool:
    """Whether a trial failed for no reason of its own."""
    return trial.state.name == "FAIL" and ERROR not in trial.user_attrs


def state_of(trial: FrozenTrial) -> str:
    """Say how a trial stands: waiting, running, complete, pruned, fail or cut off."""
    return "cut off" if was_cut_off(trial) else trial.state.name.lower()


def count_ended(study: Study) -> int:
    """Count the trials that finished, were stopped early or failed; those that were cut off are not among them."""
    return sum(map(_has_ended, study.trials))


def count_begun(study: Study) -> int:
    """Count the trials that run, here or elsewhere, or have ended."""
    # One look at all of them: one that ends between two looks would be missed by both.
    return sum(_has_ended(trial) or trial.state.name == "RUNNING" for trial in study.trials)


def give_up(study: Study, number: int) -> None:
    """Queue the settings of a running trial again, and fail it."""
    from optuna.trial import TrialState

    trial = study.trials[number]
    # Queued first: killed in between, the next start finds it running still, and queues it no second time.
    if trial.state == TrialState.RUNNING and number not in _taken_up(study):
        _queue_again(study, trial)
    study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


def bury(study: Study, trial: Trial, why: str) -> None:
    """Do as `give_up` for a trial whose process died, but let it fail for good where that happens too often."""
    from optuna.trial import TrialState

    if study.trials[trial.number].state != TrialState.RUNNING:
        return  # another machine took it for dead before
    if _queue_again(study, trial, died=True):
        study.tell(trial, state=TrialState.FAIL)
    else:
        fail(study, trial, f"{why}, as in the {_MOST_DEATHS - 1} attempts before")


def fail(study: Study, trial: Trial, why: str) -> None:
    """End a trial for a reason of its own."""
    from optuna.trial import TrialState

    if study.trials[trial.number].state != TrialState.RUNNING:
        return  # another machine took it for dead before
    trial.set_user_attr(ERROR, why)
    study.tell(trial, state=TrialState.FAIL)


def give_up_all(study: Study) -> None:
    """Do as `give_up` for every running trial; only for a study that no other process works on."""
    for trial in study.trials:
        if trial.state.name == "RUNNING":
            give_up(study, trial.number)


def queue_dead(study: Study, trial: FrozenTrial) -> None:
    """Queue the settings of a trial that has given no sign of life, and that was failed for it."""
    _queue_again(study, trial, died=True)


def fail_silent(study: Study) -> None:
    """Fail trials of other machines that have given no sign of life for too long; see `queue_dead`."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def _queue_again(study: Study, trial: FrozenTrial | Trial, *, died: bool = False) -> bool:
    deaths = trial.user_attrs.get(_DEATHS, 0) + died
    if deaths >= _MOST_DEATHS:
        return False
    attributes = {_AGAIN: trial.number, FOLDER: folder_of(trial), _DEATHS: deaths}
    study.enqueue_trial(trial.params, user_attrs=attributes)
    return True


def _has_ended(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and not was_cut_off(trial)


def _taken_up(study: Study) -> set[int]:
    return {trial.user_attrs[_AGAIN] for trial in study.trials if _AGAIN in trial.user_attrs}
