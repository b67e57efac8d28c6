"""What a study leaves in its folder: the best settings, a table of all trials, a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.reports.csv_table import csv_text
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.tuning.page import study_page
from nucleus_unet.tuning.search_space import configured
from nucleus_unet.tuning.training_job import FIGURE, Job
from nucleus_unet.tuning.trials import states_of

if TYPE_CHECKING:
    from optuna import Study

BEST, TABLE, PAGE = "best.json", "trials.csv", "report.html"


def write_results(study: Study, job: Job, out: Path) -> dict[str, Any] | None:
    """Write ``trials.csv``, ``report.html`` and, where a trial has finished, ``best.json``.

    Returns
    -------
    dict or None
        What ``best.json`` holds.
    """
    rows = []
    trials = study.trials
    for trial, state in zip(trials, states_of(trials), strict=True):
        samples, figure = max(trial.intermediate_values.items(), default=("", trial.value))
        rows.append({"trial": trial.number, "state": state, FIGURE: figure, "samples": samples, **trial.params})
    columns = ["trial", "state", FIGURE, "samples", *job.space.settings]
    write_atomically(out / TABLE, csv_text(rows, columns=columns))
    write_atomically(out / PAGE, study_page(study, job, out.resolve().name))
    if not any(trial.state.name == "COMPLETE" for trial in trials):
        return None
    best = study.best_trial
    values = job.space.values_of(best.params)
    result = {
        "trial": best.number,
        FIGURE: best.value,
        "settings": values,
        "config": plain(configured(job.base, values)),
    }
    write_atomically(out / BEST, json.dumps(result, indent=2) + "\n")
    return result
