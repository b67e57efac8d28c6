"""The page of a study, from trials that are made up."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import optuna
import pytest
from helpers.pages import Page
from helpers.studies import EXAMPLES, TINY
from nucleus_unet.tuning import Space
from nucleus_unet.tuning.page import study_page
from nucleus_unet.tuning.plots import Axis, draw_history
from nucleus_unet.tuning.search_space import Range
from nucleus_unet.tuning.training_job import Job
from nucleus_unet.tuning.trials import ERROR, cut_off_running
from optuna import Study
from optuna.trial import TrialState

SPACE = Space({"dropout": Range(0.0, 0.4), "learning_rate": Range(1e-3, 1e-1, log=True), "batch_size": (2, 4)})


@pytest.fixture(scope="module")
def job() -> Job:
    return Job(EXAMPLES, SPACE, TINY, folds=2, device="cpu", workers=0)


@pytest.fixture
def study() -> Study:
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))


def add(study: Study, figures: list[float]) -> None:
    for figure in figures:
        trial = study.ask()
        SPACE.suggest(trial)
        trial.report(figure, 4)
        study.tell(trial, figure)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_page_sets_the_best_settings_beside_the_defaults(study: Study, job: Job) -> None:
    defaults = SPACE.parameters_of(TINY)
    assert defaults == {"dropout": 0.0, "learning_rate": 5e-3, "batch_size": "2"}
    study.enqueue_trial(defaults)
    study.enqueue_trial({"dropout": 0.25, "learning_rate": 0.02, "batch_size": "4"})
    add(study, [0.31, 0.42])
    text = text_of(study_page(study, job, "mine"))
    assert "Trial 1 is the best, with mSA 0.4200. The default settings gave 0.3100 (trial 0)." in text
    assert "dropout 0 0.25 0 to 0.4" in text
    assert "learning_rate 0.005 0.02 0.001 to 0.1 (log)" in text
    assert "batch_size 2 4 2; 4" in text


def test_the_page_says_so_where_nothing_is_better_than_the_defaults(study: Study, job: Job) -> None:
    study.enqueue_trial(SPACE.parameters_of(TINY) or {})
    add(study, [0.5, 0.4])
    assert "Trial 0 is the best, with mSA 0.5000. It has the default settings." in study_page(study, job, "mine")


def test_every_trial_is_in_the_table_with_its_state(study: Study, job: Job) -> None:
    add(study, [0.3])
    stopped, failed, _ = study.ask(), study.ask(), study.ask()
    stopped.report(0.1, 2)
    study.tell(stopped, state=TrialState.PRUNED)
    failed.set_user_attr(ERROR, "<lost> & gone")
    study.tell(failed, state=TrialState.FAIL)
    cut_off_running(study)
    page = study_page(study, job, "mine")
    states = re.findall(r"<tr><td>(\d)</td><td>([^<]*)</td>", page)
    assert states == [
        ("0", "finished"),
        ("1", "stopped early"),
        ("2", "failed"),
        ("3", "cut off, taken up again"),
        ("4", "waiting"),
    ]
    assert "Trial 2 failed: &lt;lost&gt; &amp; gone." in page
    assert "5 trials: 1 finished, 1 stopped early, 1 failed, 1 cut off, taken up again, 1 waiting." in text_of(page)


def test_importances_are_not_told_from_too_few_trials(study: Study, job: Job) -> None:
    add(study, [0.3 + number / 100 for number in range(19)])
    assert "Not known: 19 trials have finished" in text_of(study_page(study, job, "mine"))
    add(study, [0.4])
    assert "Not known" not in study_page(study, job, "mine")


def test_the_page_holds_all_that_it_shows_and_is_equal_for_an_equal_study(study: Study, job: Job) -> None:
    add(study, [0.3, 0.2])
    page = study_page(study, job, "a & <b>")
    assert study_page(study, job, "a & <b>") == page
    parsed = Page(page)
    assert "<h1>Tuning: a &amp; &lt;b&gt;</h1>" in page
    assert len(parsed.sources) == 2
    assert all(source.startswith("data:") for source in parsed.sources)


def test_a_study_without_a_finished_trial_has_a_page_too(study: Study, job: Job) -> None:
    assert "No trial has finished yet." in study_page(study, job, "mine")


def test_the_best_so_far_never_falls() -> None:
    picture = ElementTree.fromstring(draw_history({0: 0.2, 1: 0.1, 3: 0.4, 4: 0.3}, {2: 0.0}))
    orange = [
        path.get("d", "")
        for path in picture.iter("{http://www.w3.org/2000/svg}path")
        if "stroke: #d55e00" in path.get("style", "")
    ]
    heights = [float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", max(orange, key=len))]
    assert heights == sorted(heights, reverse=True)  # y grows downwards
    assert len(set(heights)) == 2


@pytest.mark.parametrize(
    ("setting", "value", "place"),
    [
        (Range(1, 3), 1.5, 0.25),
        (Range(1e-3, 1e-1, log=True), 1e-2, 0.5),
        (Range(2, 2), 2, 0.5),
        ((4, [1, 2]), [1, 2], 0.75),
    ],
)
def test_a_value_lies_on_its_axis_where_its_range_or_choices_put_it(
    setting: object, value: object, place: float
) -> None:
    assert Axis("x", setting).place(value) == pytest.approx(place)  # type: ignore[arg-type]
