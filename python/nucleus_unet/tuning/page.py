"""The page of a study: one HTML file with everything in it, for people."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from nucleus_unet.reports.page import render
from nucleus_unet.tuning.plots import Axis, draw_history, draw_importances, draw_parallel
from nucleus_unet.tuning.search_space import Range, value_in
from nucleus_unet.tuning.training_job import Job
from nucleus_unet.tuning.trials import errors_of, states_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

# A quarter of the trials is compared with all: with fewer it would be fewer than five.
_FEWEST_FOR_IMPORTANCE = 20
_TOP = 0.25
_STATES = {
    "complete": "finished",
    "pruned": "stopped early",
    "fail": "failed",
    "cut off": "cut off, taken up again",
    "running": "running",
    "waiting": "waiting",
}


def study_page(study: Study, job: Job, name: str) -> str:
    """Write the page.

    Parameters
    ----------
    study
        With its trials.
    job
        What they have in common.
    name
        Of the study.
    """
    trials = study.trials
    finished = [trial for trial in trials if trial.state.name == "COMPLETE"]
    return render(
        "tuning/page.html",
        title=f"Tuning: {name}",
        counts=_counts(trials),
        job=job,
        finished=len(finished),
        best=_best(study.best_trial, finished, job) if finished else "",
        settings=_settings(study.best_trial, job) if finished else [],
        history=_history(trials),
        importances=_importances(study, len(finished)),
        top=_TOP,
        fewest=_FEWEST_FOR_IMPORTANCE,
        parallel=_parallel(finished, job) if finished else b"",
        trial_header=["trial", "state", "mSA", "samples", *job.space.settings],
        trials=_trials(trials, job),
        errors=errors_of(trials),
    )


def _counts(trials: list[FrozenTrial]) -> str:
    counted = Counter(_STATES[state] for state in states_of(trials))
    states = ", ".join(f"{counted[state]} {state}" for state in _STATES.values() if counted[state])
    return f"{len(trials)} trials: {states}" if trials else "No trial has begun"


def _best(best: FrozenTrial, finished: list[FrozenTrial], job: Job) -> str:
    defaults = job.space.parameters_of(job.base)
    baseline = next((trial for trial in finished if trial.params == defaults), None)
    said = f"Trial {best.number} is the best, with mSA {best.value:.4f}. "
    if best.params == defaults:
        said += "It has the default settings."
    elif baseline is not None:
        said += f"The default settings gave {baseline.value:.4f} (trial {baseline.number})."
    elif defaults is None:
        said += "The default settings are not in the space, so they were not tried."
    else:
        said += "No trial with the default settings has finished."
    return said


def _settings(best: FrozenTrial, job: Job) -> list[list[str]]:
    found = job.space.values_of(best.params)
    return [
        [name, _value(value_in(job.base, name)), _value(found[name]), _tried(setting)]
        for name, setting in job.space.settings.items()
    ]


def _history(trials: list[FrozenTrial]) -> bytes:
    def figures(state: str) -> dict[int, float]:
        return {each.number: each.value for each in trials if each.state.name == state and each.value is not None}

    finished, stopped = figures("COMPLETE"), figures("PRUNED")
    return draw_history(finished, stopped) if finished or stopped else b""


def _importances(study: Study, finished: int) -> bytes:
    if finished < _FEWEST_FOR_IMPORTANCE:
        return b""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    return draw_importances(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=_TOP)))


def _parallel(finished: list[FrozenTrial], job: Job) -> bytes:
    figures = [trial.value or 0.0 for trial in finished]
    axes = [Axis(name, _plain(setting)) for name, setting in job.space.settings.items()]
    axes.append(Axis("mSA", Range(min(figures), max(figures))))
    best_last = sorted(finished, key=lambda trial: (trial.value or 0.0, -trial.number))
    lines = []
    for trial in best_last:
        values = job.space.values_of(trial.params)
        lines.append([*(values[name] for name in job.space.settings), trial.value])
    return draw_parallel(axes, lines)


def _trials(trials: list[FrozenTrial], job: Job) -> list[list[str]]:
    rows = []
    for trial, state in zip(trials, states_of(trials), strict=True):
        samples = str(trial.last_step) if trial.last_step is not None else ""
        figure = "" if trial.value is None else f"{trial.value:.4f}"
        values = job.space.values_of(trial.params)
        settings = (_value(values[name]) if name in values else "" for name in job.space.settings)
        rows.append([str(trial.number), _STATES[state], figure, samples, *settings])
    return rows


def _plain(setting: Range | tuple[Any, ...]) -> Range | tuple[Any, ...]:
    """Return choices as the journal gives them back: lists, where tuples were given."""
    return setting if isinstance(setting, Range) else tuple(json.loads(json.dumps(setting)))


def _tried(setting: Range | tuple[Any, ...]) -> str:
    if isinstance(setting, Range):
        return f"{setting.low:.4g} to {setting.high:.4g}" + (" (log)" if setting.log else "")
    return "; ".join(_value(choice) for choice in setting)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
