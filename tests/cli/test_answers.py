"""``--json``: programs find one document on standard output, also after an error; an exit code means one thing."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import typer
from helpers.commands import run
from helpers.paths import EXAMPLES, ROOT
from nucleus_unet import __version__
from nucleus_unet.cli import main
from nucleus_unet.cli.answers import Answer, answering
from nucleus_unet.errors import SettingsError

REFERENCE = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
COMMON = {"schema", "version", "program", "exit_code", "error"}
IMAGE = EXAMPLES / "images" / "fluorescence_small.png"


def documented(heading: str, first: str = "key") -> set[str]:
    """The keys that a table of the reference lists."""
    part = REFERENCE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = part.partition(f"| {first} |")[2].partition("\n\n")[0]
    return {key for row in table.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])}


def answer_of(result: subprocess.CompletedProcess[str], command: str, code: int) -> dict[str, Any]:
    """The one document on standard output, whose frame is checked."""
    assert result.returncode == code, result.stderr
    assert result.stdout.count("\n") == 1
    answer: dict[str, Any] = json.loads(result.stdout)
    assert documented("Keys of every document") == COMMON
    assert {key: answer[key] for key in ("schema", "version", "program", "exit_code")} == {
        "schema": f"nucleus-unet/{command}",
        "version": 1,
        "program": __version__,
        "exit_code": code,
    }
    return answer


def test_predict_tells_of_every_image_and_where_its_results_are(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "späße.png").write_bytes(IMAGE.read_bytes())
    (tmp_path / "in" / "bad.png").write_text("not a picture")
    (tmp_path / "in" / ".hidden").write_text("")
    result = run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "tif,csv", "--json")
    answer = answer_of(result, "predict", 1)
    assert set(answer) - COMMON == documented("`predict`")
    bad, good = answer["images"]
    assert set(bad) == set(good) == documented("`predict`", "key of an image")
    assert answer["error"] is None
    assert "bad.png: cannot be read as an image" in bad["error"]
    assert bad["files"] == {}
    assert good["nuclei"] == answer["nuclei"] == tifffile.imread(good["files"]["tif"]).max()
    assert len(Path(good["files"]["csv"]).read_text().splitlines()) == good["nuclei"] + 1
    assert answer["failures"] == 1
    assert [each["reason"] for each in answer["passed_over"]] == ["hidden"]
    assert "1 could not be segmented" in result.stderr
    again = answer_of(
        run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "tif,csv", "--json"), "predict", 1
    )
    assert again["resumed"] == 1


def test_slide_and_export_tell_where_their_files_are(tmp_path: Path) -> None:
    folder = tmp_path / "slide.nuclei"
    slide = answer_of(run("slide", IMAGE, "--out", folder, "--json"), "slide", 0)
    assert set(slide) - COMMON == documented("`slide`")
    (image,) = slide["images"]
    assert image["nuclei"] == slide["nuclei"] == tifffile.imread(image["files"]["tif"]).max()
    assert all(Path(path).exists() for path in image["files"].values())
    export = answer_of(run("export", folder, "--out", tmp_path, "--format", "csv,coco", "--json"), "export", 0)
    assert set(export) - COMMON == documented("`export`")
    assert export["files"] == [str(tmp_path / "nuclei.csv"), str(tmp_path / "nuclei.coco.json")]


def test_evaluate_tells_the_scores_of_its_report(tmp_path: Path, tiny_bundle: Path) -> None:
    result = run("evaluate", "--data", EXAMPLES, "--model", tiny_bundle, "--out", tmp_path / "report", "--json")
    answer = answer_of(result, "evaluate", 0)
    assert set(answer) - COMMON == documented("`evaluate`")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert {key: answer[key] for key in report} == report


def test_several_planes_are_told_by_their_folder(tmp_path: Path) -> None:
    planes = np.zeros((2, 40, 40), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", planes, metadata={"axes": "ZYX"}, imagej=True)
    result = run("predict", tmp_path / "a.tif", "--out", tmp_path / "out", "--z", "all", "--json")
    answer = answer_of(result, "predict", 0)
    assert set(answer) - COMMON == documented("`predict`")
    assert Path(answer["images"][0]["files"]["folder"]).is_dir()


def test_info_writes_a_line_for_each_file_also_for_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("text")
    result = run("info", "--json", tmp_path / "a.tif", IMAGE)
    assert result.returncode == 1
    bad, good = map(json.loads, result.stdout.splitlines())
    assert (bad["file"], bad["exit_code"], bad["error"]["type"]) == (str(tmp_path / "a.tif"), 1, "ImageError")
    assert set(good) - COMMON == documented("`info`")
    assert (good["exit_code"], good["error"]) == (0, None)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict", "none-*.png", "--out", "x", "--json"], "no file matches none-*.png"),
        (["predict", "--json"], "Missing argument"),
        (["slide", IMAGE, "--out", "x", "--bogus", "--json"], "No such option"),
        (["export", "--json", "x", "--out", "y", "--format", "bmp"], "format: expected some of"),
    ],
)
def test_a_mistake_is_a_document_and_a_sentence_for_people(
    arguments: list[Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    answer = answer_of(result, arguments[0], 2)
    assert answer["error"]["type"] == "SettingsError"
    assert says in answer["error"]["message"]
    assert says in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def told(command: Any, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], int, str]:
    """The document, the exit code and standard error of a command in this process."""
    code = 0
    try:
        answering(command)(as_json=True)
    except typer.Exit as ended:
        code = ended.exit_code
    streams = capsys.readouterr()
    return json.loads(streams.out), code, streams.err


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (SettingsError("it is wrong"), 2, "SettingsError"),
        (FileNotFoundError(2, "no such file", "a.tif"), 2, "FileNotFoundError"),
        (MemoryError(), 2, "MemoryError"),
        (RuntimeError("CUDA out of memory"), 2, "MemoryError"),
        (KeyError("a bug"), 70, "KeyError"),
        (KeyboardInterrupt(), 130, "KeyboardInterrupt"),
    ],
)
def test_every_kind_of_error_has_its_exit_code(
    error: BaseException, code: int, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*, answer: Answer) -> None:
        raise error

    document, ended, err = told(command, capsys)
    assert (document["exit_code"], ended, document["error"]["type"]) == (code, code, kind)
    assert document["error"]["message"]
    assert ("Traceback" in err) == (code == 70)


def test_what_people_read_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def command(*, answer: Answer) -> None:
        typer.echo("three nuclei")
        answer.set(nuclei=3)

    document, code, err = told(command, capsys)
    assert (document["nuclei"], code, err) == (3, 0, "three nuclei\n")


def test_numbers_that_json_has_no_word_for_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    def command(*, answer: Answer) -> None:
        answer.set(scores={"a": math.nan, "b": [1.5, math.inf]})

    assert told(command, capsys)[0]["scores"] == {"a": None, "b": [1.5, None]}


def test_names_in_no_encoding_are_told_so_that_they_are_found_again(capsys: pytest.CaptureFixture[str]) -> None:
    def command(*, answer: Answer) -> None:
        answer.set(file=os.fsdecode(b"a-\xff.tif"))

    assert os.fsencode(told(command, capsys)[0]["file"]) == b"a-\xff.tif"


def test_a_bug_without_json_ends_in_a_traceback_and_exit_code_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("nucleus_unet.cli.app", broken)
    with pytest.raises(SystemExit, match="70"):
        main()
    assert "a bug" in capsys.readouterr().err


# Both wait for threads, as work that is interrupted does.
_WAITING = """
import signal, time
from concurrent.futures import ThreadPoolExecutor
from nucleus_unet.batch import prepare
from nucleus_unet.cli import main

def wait(*_, **__):
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(time.sleep, SECONDS)
        try:
            print("go", flush=True)
            waiting.result()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            raise

prepare.prepare_batch = wait
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background has it ignored
main()
"""


def waiting_for(seconds: int, out: Path) -> subprocess.Popen[str]:
    """Start a command, and return when it waits."""
    command = [sys.executable, "-c", _WAITING.replace("SECONDS", str(seconds)), "predict", "x.png", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_an_interruption_from_the_keyboard_has_exit_code_130(tmp_path: Path) -> None:
    process = waiting_for(2, tmp_path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_second_interruption_ends_the_process_at_once_and_says_nothing(tmp_path: Path) -> None:
    process = waiting_for(60, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "interrupted\n"  # two signals at once would count as one
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert not said


def test_score_tells_of_each_table_and_of_all(tmp_path: Path) -> None:
    columns = "label,row,column,top,left,bottom,right,area,intensity,probability,quality,nucleus_dab_mean"
    for name, densities in (("a", [0.1, 0.3]), ("b", [0.7]), ("none", [])):
        rows = [f"{number},1,1,0,0,2,2,4,9,1,0.5,{density}" for number, density in enumerate(densities, 1)]
        (tmp_path / f"{name}.csv").write_text("\n".join([columns, *rows]) + "\n")
    tables = [tmp_path / f"{name}.csv" for name in ("a", "b", "none")]
    answer = answer_of(run("score", *tables, "--json"), "score", 0)
    assert set(answer) - COMMON == documented("`score`")
    assert {key for each in answer["results"] for key in each} == documented("`score`", "key of a result")
    assert [(each["nuclei"], each["positive_share"]) for each in answer["results"]] == [
        (2, 0.5),
        (1, 1),
        (0, None),
        (3, pytest.approx(2 / 3)),
    ]
    refused = answer_of(run("score", tmp_path / "missing.csv", "--json"), "score", 2)
    assert "missing.csv" in refused["error"]["message"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_empty_value_is_refused_and_not_taken_for_the_current_folder(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    result = run("predict", EXAMPLES / "images" / "fluorescence_small.png", "--out", "", *options, cwd=tmp_path)

    assert result.returncode == 2
    assert "got an empty one" in result.stderr
    assert bool(options) == ("got an empty one" in result.stdout)
    assert not list(tmp_path.iterdir())
