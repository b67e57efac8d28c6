"""What stands between a study and those who run its trials: hands trials out, and writes down what becomes of them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_unet.tuning.database import Sharing
from nucleus_unet.tuning.results import write_results
from nucleus_unet.tuning.training_job import Ended, Job
from nucleus_unet.tuning.trials import ask, bury, count_begun, count_ended, fail, folder_of, give_up
from nucleus_unet.tuning.worker_pool import Alone, Crew, Workers

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

# In a study's folder: one for each trial that has not ended.
TRIALS = "trials"
_LOOK_EVERY = 1.0


class Desk:
    """Hands out the trials of a study, and writes down what becomes of them.

    Parameters
    ----------
    study
        Open.
    job
        How a trial is run.
    out
        Folder for checkpoints and results.
    say
        Gets a line for every trial.
    sharing
        With other machines, where there are any.
    """

    def __init__(
        self, study: Study, job: Job, out: Path, say: Callable[[str], object], *, sharing: Sharing | None = None
    ) -> None:
        self.study, self._job, self._out, self._say, self._sharing = study, job, out, say, sharing
        self._running: dict[int, Trial] = {}

    def work(self, trials: int, end: float | None, processes: int) -> None:
        """Run trials until so many have ended in all, or none may be begun any more.

        Parameters
        ----------
        trials
            Of this and other machines, earlier calls included.
        end
            Monotonic time after which no trial is begun.
        processes
            How many run at once here.
        """
        left = trials - count_ended(self.study)
        if left <= 0:
            return
        self._propose_defaults()
        try:
            if processes == 1:
                self._hand_out(Alone(self._job, self), trials, end)
            else:
                with Workers(self._job, self, min(processes, left)) as crew:
                    self._hand_out(crew, trials, end)
        except BaseException:
            for number in tuple(self._running):
                give_up(self.study, number)
            raise
        self._tidy()

    def report(self, number: int, position: int, figure: float) -> bool:
        """Write down a trial's figure after so many samples; tell whether to stop."""
        from optuna.exceptions import UpdateFinishedTrialError

        trial = self._running[number]
        try:
            trial.report(figure, position)
        except UpdateFinishedTrialError:  # another machine took it for dead, and queued it again
            return True
        return trial.should_prune()

    def ended(self, number: int, end: Ended) -> None:
        """Write down how a trial ended."""
        from optuna.trial import TrialState

        trial = self._running[number]
        if end.error is not None:
            fail(self.study, trial, end.error)
        elif end.figure is None:
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        else:
            self.study.tell(trial, end.figure, skip_if_finished=True)
        self._forget(trial)
        shutil.rmtree(self._folder(trial), ignore_errors=True)
        self._say(_line(self.study.trials[number]))

    def lost(self, number: int, why: str) -> None:
        """Queue a trial again whose process died."""
        trial = self._running[number]
        bury(self.study, trial, why)
        self._forget(trial)
        self._say(f"trial {number}: {why}")

    def _hand_out(self, crew: Crew, trials: int, end: float | None) -> None:
        told = False
        while True:
            while crew.free and (trial := self._next(trials, end)) is not None:
                crew.begin(trial.number, self._job.space.suggest(trial), self._folder(trial))
            # Trials that other machines run are waited for: if one dies, it is run here.
            if not crew.busy and (_is_over(end) or count_ended(self.study) >= trials):
                return
            if crew.free and not crew.busy and not told:
                self._say("waiting for the last trials of other machines")
                told = True
            crew.attend(_LOOK_EVERY)

    def _next(self, trials: int, end: float | None) -> Trial | None:
        """Begin a trial, if one more may be begun."""
        with self._turn():
            if _is_over(end) or count_begun(self.study) >= trials:
                return None
            trial = ask(self.study)
        self._running[trial.number] = trial
        if self._sharing is not None:
            self._sharing.add(trial)
        return trial

    def _propose_defaults(self) -> None:
        """Let the first trial have the settings that the others are to be better than."""
        parameters = self._job.space.parameters_of(self._job.base)
        with self._turn():
            if parameters is not None and not self.study.trials:
                self.study.enqueue_trial(parameters)

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._sharing is None else self._sharing.turn()

    def _forget(self, trial: Trial) -> None:
        del self._running[trial.number]
        if self._sharing is not None:
            self._sharing.drop(trial)
        write_results(self.study, self._job, self._out)

    def _folder(self, trial: Trial) -> Path:
        return self._out / TRIALS / folder_of(trial)

    def _tidy(self) -> None:
        """Remove checkpoints of trials that ended on another machine."""
        wanted = {folder_of(trial) for trial in self.study.trials if not trial.state.is_finished()}
        for folder in (self._out / TRIALS).glob("*"):
            if folder.name not in wanted:
                shutil.rmtree(folder, ignore_errors=True)


def _is_over(end: float | None) -> bool:
    return end is not None and time.monotonic() >= end


def _line(trial: FrozenTrial) -> str:
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items()
    )
    state = {"COMPLETE": f"mSA {trial.value or 0:.4f}", "PRUNED": "stopped early"}.get(trial.state.name, "failed")
    return f"trial {trial.number}: {state}; {settings}"
