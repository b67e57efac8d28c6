"""A study: trials with settings of their own, the poor ones stopped early, all kept in one folder.

The folder holds Optuna's journal, which survives being killed: finished trials are never lost, and a trial that was cut
off is taken up again, from its own last checkpoint, when the study is started anew.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet.devices import choose_device, choose_precision
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.files import write_atomically
from nucleus_unet.grouping import GroupConfig
from nucleus_unet.locks import locked
from nucleus_unet.network import Network
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.training.dataset import Example
from nucleus_unet.training.folds import hold_out_images
from nucleus_unet.training.trainer import Run, TrainConfig, train
from nucleus_unet.training.validation import predict_examples, validate
from nucleus_unet.tuning.journal import FOLDER, count_ended, cut_off, open_study, require_optuna
from nucleus_unet.tuning.space import Space, configured

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

logger = logging.getLogger(__name__)

FIGURE = "validation_per_image_mean_ap"
BEST, TABLE = "best.json", "trials.csv"
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
    say: Callable[[str], object] = logger.info,
) -> dict[str, Any]:
    """Look for the settings whose model is best on the held-out fold.

    Values are proposed by a tree-structured Parzen estimator (Bergstra et al. 2011); a trial below the median of the
    earlier ones at the same sample is stopped. Calling it again goes on until `trials` are finished in all.

    Parameters
    ----------
    examples
        Labelled images; the first of `folds` folds is held out, as `nucleus_unet.training.pipeline` does.
    out
        Folder of the study. After each trial ``best.json`` has the best settings so far and ``trials.csv`` all trials.
        Models are not kept: the best settings are there to be trained with in full.
    space
        What is tried.
    base
        All other settings of training; its `samples` are those of one trial.
    trials
        How many are to be finished, stopped early or failed, those of earlier calls included.
    hours
        After which no new trial is begun; None for no limit.
    folds, device, workers
        As training takes them.
    say
        Gets a line for every trial.

    Returns
    -------
    dict
        What ``best.json`` holds.

    Raises
    ------
    SettingsError
        An option is out of range, the folder holds a study of something else, or another process is busy with it.
    DataError
        No trial could be finished.
    MissingExtraError
        Optuna is missing.
    """
    if trials < 1 or (hours is not None and not hours > 0):
        raise SettingsError(f"expected at least 1 trial and more than 0 hours, got {trials} and {hours}")
    require_optuna()
    started = time.monotonic()
    job = _Job(examples, out, space, base or TrainConfig(), folds=folds, device=device, workers=workers)
    out.mkdir(parents=True, exist_ok=True)
    busy = f"another process is busy with the study in {out}: wait for it"
    with locked(out, patience=_LOCK_PATIENCE, busy=busy):
        _agree(out / _STATED, job.stated())
        study = open_study(out, seed=job.base.seed)
        while count_ended(study) < trials and (hours is None or time.monotonic() - started < 3600 * hours):
            number = _run_one(study, job)
            _write_results(study, job)
            say(_line(study.trials[number]))
        best = _write_results(study, job)
    if best is None:
        why = [
            f"  trial {each.number}: {each.user_attrs['error']}" for each in study.trials if "error" in each.user_attrs
        ]
        raise DataError("\n".join([f"no trial of the study in {out} was finished", *why[:5]]))
    return best


class _Job:
    """What trials have in common, and how one is run."""

    def __init__(
        self,
        examples: Sequence[Example],
        out: Path,
        space: Space,
        base: TrainConfig,
        *,
        folds: int,
        device: str,
        workers: int,
    ) -> None:
        self.training, self.held_out = hold_out_images(examples, folds=folds, kind=None, seed=base.seed)
        self.out, self.space, self.base = out, space, base
        self.folds, self.device, self.workers = folds, device, workers

    def stated(self) -> dict[str, Any]:
        """Return what must not change between the calls of a study, as plain JSON types."""
        names = "\n".join(sorted(example.name for example in [*self.training, *self.held_out]))
        return {
            "space": plain(self.space),
            "base": plain(self.base),
            "folds": self.folds,
            "images": hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest(),
        }

    def run(self, trial: Trial, folder: Path) -> float:
        """Train with the trial's settings; return its figure, or raise ``TrialPruned``."""
        from optuna import TrialPruned

        config = configured(self.base, self.space.suggest(trial))
        precision = choose_precision(choose_device(self.device), config.precision)
        figure: float | None = None

        def measure(network: Network) -> dict[str, float]:
            return validate(predict_examples(network, self.held_out, precision), GroupConfig())

        def report(run: Run) -> None:
            nonlocal figure
            figure = run.history[-1][FIGURE]
            trial.report(figure, run.position)
            if run.position < config.samples and trial.should_prune():
                raise TrialPruned

        network = train(
            config, self.training, folder, validate=measure, device=self.device, workers=self.workers, report=report
        )
        # A trial that was killed after its last sample has nothing more to report.
        return measure(network.to(choose_device(self.device)))[FIGURE] if figure is None else figure


def _run_one(study: Study, job: _Job) -> int:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    trial = study.ask()
    folder = job.out / "trials" / str(trial.user_attrs.get(FOLDER, trial.number))
    try:
        study.tell(trial, job.run(trial, folder))
    except TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except DataError as error:  # the loss is no longer finite: other settings may do
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
    shutil.rmtree(folder, ignore_errors=True)
    return trial.number


def _agree(path: Path, stated: dict[str, Any]) -> None:
    """Refuse to mix trials of different studies."""
    if not path.exists():
        write_atomically(path, json.dumps(stated, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}; choose another folder") from error
    differing = sorted(name for name in stated if not isinstance(before, dict) or before.get(name) != stated[name])
    if differing:
        raise SettingsError(
            f"{path.parent} holds a study of something else ({', '.join(differing)} differ): give the same to go on "
            "with it, or another folder to start afresh"
        )


def _write_results(study: Study, job: _Job) -> dict[str, Any] | None:
    names = list(job.space.settings)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", FIGURE, "samples", *names])
    again = cut_off(study)
    for each in study.trials:
        samples, figure = max(each.intermediate_values.items(), default=("", each.value))
        settings = (each.params.get(name, "") for name in names)
        state = "cut off" if each.number in again else each.state.name.lower()
        writer.writerow([each.number, state, figure, samples, *settings])
    write_atomically(job.out / TABLE, text.getvalue())
    finished = [each for each in study.trials if each.state.name == "COMPLETE" and each.value is not None]
    if not finished:
        return None
    best = study.best_trial
    values = job.space.values_of(best.params)
    result = {
        "trial": best.number,
        FIGURE: best.value,
        "settings": values,
        "config": plain(configured(job.base, values)),
    }
    write_atomically(job.out / BEST, json.dumps(result, indent=2) + "\n")
    return result


def _line(trial: FrozenTrial) -> str:
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in trial.params.items()
    )
    state = {"COMPLETE": f"mSA {trial.value or 0:.4f}", "PRUNED": "stopped early"}.get(trial.state.name, "failed")
    return f"trial {trial.number}: {state}; {settings}"
