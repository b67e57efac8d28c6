"""Runs the trials of a study in this process, with `optuna.Study.optimize`."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nucleus_unet.errors import DataError
from nucleus_unet.tuning.training_job import Job
from nucleus_unet.tuning.trials import (
    ERROR,
    WORKER,
    count_begun,
    count_ended,
    cut_off,
    fail_stale,
    folder_of,
    queue_again,
)

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

logger = logging.getLogger(__name__)

# In a study's folder: one folder for each trial that has not ended.
TRIALS = "trials"
_LOOK_EVERY = 1.0


class _BudgetSpentError(Exception):
    """Two processes began the last trial of the budget at once; this is the second of them."""


@dataclass(frozen=True)
class StudyRunner:
    """Runs trials until the budget is spent; several processes may do so for one study.

    Attributes
    ----------
    job
        How a trial is run.
    out
        Folder of the checkpoints.
    trials
        How many trials are to end, those of all processes and earlier calls together.
    end
        Time of `time.time` after which no trial is begun; None for no limit.
    """

    job: Job
    out: Path
    trials: int
    end: float | None

    def run(self, study: Study, ended: Callable[[int], object], *, worker: str = "", device: str | None = None) -> None:
        """Run trials in this process.

        Parameters
        ----------
        study
            Open.
        ended
            Gets the number of each trial that has ended.
        worker
            Name of this process, for `cut_off_running`.
        device
            Device of this process; None for that of the job.
        """
        from optuna import TrialPruned

        taken_over = waiting = False

        def objective(trial: Trial) -> float:
            nonlocal taken_over
            trial.set_user_attr(WORKER, worker)

            def report(position: int, figure: float) -> None:
                trial.report(figure, position)
                if position < self.job.base.samples and trial.should_prune():
                    raise TrialPruned

            try:
                if count_begun(study, before=trial.number) >= self.trials:
                    raise _BudgetSpentError
                folder = self._checkpoints(study.trials[trial.number])
                return self.job.run(self.job.space.suggest(trial), folder, report, device=device)
            except TrialPruned:
                raise
            except (DataError, torch.OutOfMemoryError) as error:  # other settings may do
                trial.set_user_attr(ERROR, str(error))
                raise
            except BaseException:
                frozen = study.trials[trial.number]
                # A machine that slept was taken for dead by another, which has queued the trial again.
                taken_over = frozen.state.is_finished()
                queue_again(study, frozen)
                raise

        def after(study: Study, trial: FrozenTrial) -> None:
            if trial.number not in cut_off(study.trials):
                shutil.rmtree(self._checkpoints(trial), ignore_errors=True)
                ended(trial.number)
            if count_begun(study) >= self.trials:
                study.stop()

        caught = (_BudgetSpentError, DataError, torch.OutOfMemoryError)
        while count_ended(study) < self.trials and not (self.end is not None and time.time() >= self.end):
            if count_begun(study) >= self.trials:
                # Trials that other processes run are waited for: if one dies, its trial is run here.
                if not waiting:
                    logger.info("waiting for the last trials of other processes")
                waiting = True
                time.sleep(_LOOK_EVERY)
                fail_stale(study)
                continue
            timeout = None if self.end is None else self.end - time.time()
            try:
                study.optimize(objective, timeout=timeout, catch=caught, callbacks=[after])
            except ValueError:  # Optuna's, for the result of a trial that has ended
                if not taken_over:
                    raise
        self._remove_checkpoints(study)

    def _checkpoints(self, trial: FrozenTrial) -> Path:
        return self.out / TRIALS / folder_of(trial)

    def _remove_checkpoints(self, study: Study) -> None:
        """Remove the checkpoints of trials that ended in another process."""
        needed = {folder_of(trial) for trial in study.trials if not trial.state.is_finished()}
        for folder in (self.out / TRIALS).glob("*"):
            if folder.name not in needed:
                shutil.rmtree(folder, ignore_errors=True)
