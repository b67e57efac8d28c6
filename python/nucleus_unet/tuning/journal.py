"""The journal of a study: what was tried and what came of it, kept through being killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_unet.errors import MissingExtraError

if TYPE_CHECKING:
    from optuna import Study

JOURNAL = "journal.log"
FOLDER = "folder"
"""User attribute of a trial that is taken up again: where the first one trained."""

_AGAIN = "again"
_STARTUP_TRIALS = 5


def require_optuna() -> None:
    """Say what to install if Optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("studies need Optuna: pip install 'nucleus-unet[tune]'") from error


def open_study(folder: Path, *, seed: int) -> Study:
    """Open the study of a folder, or make it; no other process may have it open.

    Trials that were cut off are marked as failed and queued again with their settings.

    Parameters
    ----------
    folder
        Holds the journal, or will.
    seed
        Of the proposals, together with the number of trials there are.

    Raises
    ------
    MissingExtraError
        Optuna is missing.
    """
    require_optuna()
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _cut_half_a_line(folder / JOURNAL)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        study_name="study",
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
    )
    # Not the bare seed: a study that goes on would propose its first settings again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=_STARTUP_TRIALS)
    queued = cut_off(study)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        # Queued first: killed in between, the study finds it running once more, and queues it no second time.
        if trial.number not in queued:
            first = trial.user_attrs.get(FOLDER, str(trial.number))
            study.enqueue_trial(trial.params, user_attrs={_AGAIN: trial.number, FOLDER: first})
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def cut_off(study: Study) -> set[int]:
    """Return the numbers of the trials that were cut off and taken up again under another number."""
    return {trial.user_attrs[_AGAIN] for trial in study.trials if _AGAIN in trial.user_attrs}


def count_ended(study: Study) -> int:
    """Count the trials that finished, were stopped early or failed; those that were cut off are not among them."""
    again = cut_off(study)
    return sum(trial.state.is_finished() and trial.number not in again for trial in study.trials)


def _cut_half_a_line(journal: Path) -> None:
    """Take away what a process that was killed in the middle of a line left: the journal could not be read past it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)
