"""The page of a study: one HTML file with everything in it, for people."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

from nucleus_unet import __version__
from nucleus_unet.reports.page import embedded, page, table
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

_STYLE = """\
.across img { max-width: none; }
.settings table { font-size: .95em; }
.trials td:nth-child(2), .trials th:nth-child(2) { text-align: left; }
.settings td, .settings th { text-align: left; white-space: normal; }
.settings tr > :first-child, .trials tr > :first-child { white-space: nowrap; min-width: 0; }
"""

_BODY = """\
<p>{counts}. A trial trains on {samples} samples. Its figure is mSA, average precision over thresholds .50 to .95, mean
over images, on the {held_out} of {images} images that are held out.</p>
<h2>Best settings</h2>
{best}
<h2>Trial by trial</h2>
{history}
<h2>Which settings matter</h2>
{importances}
<h2>Settings together</h2>
{parallel}
<h2>All trials</h2>
{trials}
<p class="note">Written by nucleus-unet {version}.</p>"""

_NONE = "<p>No trial has finished yet.</p>"


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
    body = _BODY.format(
        counts=_counts(trials),
        samples=f"{job.base.samples:,}",
        held_out=len(job.held_out),
        images=len(job.held_out) + len(job.training),
        best=_best(study.best_trial, finished, job) if finished else _NONE,
        history=_history(trials),
        importances=_importances(study, len(finished)),
        parallel=_parallel(finished, job) if finished else _NONE,
        trials=_trials(trials, job),
        version=escape(__version__),
    )
    return page(f"Tuning: {name}", body, style=_STYLE)


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
    found = job.space.values_of(best.params)
    rows = [
        [name, _value(value_in(job.base, name)), _value(found[name]), _tried(setting)]
        for name, setting in job.space.settings.items()
    ]
    return (
        f"<p>{said}</p>\n"
        f'<div class="settings">{table(["setting", "default", "best", "tried"], rows)}</div>'
        '<p class="note">Each trial is one training, measured on one fold, and the best of many is favoured by chance. '
        "Train in full with these settings and with the defaults, and compare the two models on images that neither "
        "has seen, before you rely on a small difference.</p>"
    )


def _history(trials: list[FrozenTrial]) -> str:
    def figures(state: str) -> dict[int, float]:
        return {each.number: each.value for each in trials if each.state.name == state and each.value is not None}

    finished, stopped = figures("COMPLETE"), figures("PRUNED")
    if not finished and not stopped:
        return _NONE
    picture = embedded(draw_history(finished, stopped), "image/svg+xml")
    return f'<figure><img alt="Figure of each trial, and the best so far" src="{picture}"></figure>'


def _importances(study: Study, finished: int) -> str:
    if finished < _FEWEST_FOR_IMPORTANCE:
        return (
            f"<p>Not known: {finished} {'trial has' if finished == 1 else 'trials have'} finished, and fewer than "
            f"{_FEWEST_FOR_IMPORTANCE} tell chance from effect too badly.</p>"
        )
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    importances = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=_TOP))
    picture = embedded(draw_importances(importances), "image/svg+xml")
    return (
        f'<figure><img alt="Importance of each setting" src="{picture}"></figure>'
        f'<p class="note">By how much the values in the best {_TOP:.0%} of the {finished} finished trials '
        "differ from those in all of them, as a share of the sum (PED-ANOVA, Watanabe et al. 2023).</p>"
    )


def _parallel(finished: list[FrozenTrial], job: Job) -> str:
    figures = [trial.value or 0.0 for trial in finished]
    axes = [Axis(name, _plain(setting)) for name, setting in job.space.settings.items()]
    axes.append(Axis("mSA", Range(min(figures), max(figures))))
    best_last = sorted(finished, key=lambda trial: (trial.value or 0.0, -trial.number))
    lines = []
    for trial in best_last:
        values = job.space.values_of(trial.params)
        lines.append([*(values[name] for name in job.space.settings), trial.value])
    picture = embedded(draw_parallel(axes, lines), "image/svg+xml")
    return (
        '<div class="wide across">'
        f'<img alt="Settings and figure of each trial" src="{picture}"></div>\n'
        '<p class="note">A line is a finished trial, the darker the better; the best is orange.</p>'
    )


def _trials(trials: list[FrozenTrial], job: Job) -> str:
    rows = []
    for trial, state in zip(trials, states_of(trials), strict=True):
        samples = str(trial.last_step) if trial.last_step is not None else ""
        figure = "" if trial.value is None else f"{trial.value:.4f}"
        values = job.space.values_of(trial.params)
        settings = (_value(values[name]) if name in values else "" for name in job.space.settings)
        rows.append([str(trial.number), _STATES[state], figure, samples, *settings])
    header = ["trial", "state", "mSA", "samples", *job.space.settings]
    failed = [f"<li>Trial {number} failed: {escape(error)}.</li>" for number, error in errors_of(trials).items()]
    reasons = "<ul>\n{}\n</ul>".format("\n".join(failed)) if failed else ""
    return f'<div class="trials">{table(header, rows)}</div>{reasons}'


def _plain(setting: Range | tuple[Any, ...]) -> Range | tuple[Any, ...]:
    """Return choices as the journal gives them back: lists, where tuples were given."""
    if isinstance(setting, Range):
        return setting
    return tuple(list(choice) if isinstance(choice, tuple) else choice for choice in setting)


def _tried(setting: Range | tuple[Any, ...]) -> str:
    if isinstance(setting, Range):
        return f"{setting.low:.4g} to {setting.high:.4g}" + (" (log)" if setting.log else "")
    return "; ".join(_value(choice) for choice in setting)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
