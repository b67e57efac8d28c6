"""The command line, as people type it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from helpers.commands import results_in, run
from helpers.paths import EXAMPLES
from nucleus_unet import __version__
from nucleus_unet.cli import main
from nucleus_unet.cli.train import train
from nucleus_unet.model.bundle import load_bundle
from nucleus_unet.training.fine_tuning import fine_tuning_config
from nucleus_unet.training.trainer import TrainConfig


def test_predict_writes_every_format_for_files_folders_and_patterns(tmp_path: Path) -> None:
    images = EXAMPLES / "images"
    result = run(
        "predict",
        images / "fluorescence_small.png",
        f"{images}/smear_p*.png",
        "--out",
        tmp_path,
        "--format",
        "tif,csv,geojson,png",
    )
    assert result.returncode == 0, result.stderr
    assert "3 images" in result.stdout
    assert results_in(tmp_path) == {
        f"{stem}{suffix}"
        for stem in ("fluorescence_small", "smear_pink", "smear_purple")
        for suffix in (".tif", ".csv", ".geojson", ".png")
    }
    labels = tifffile.imread(tmp_path / "smear_pink.tif")
    assert labels.dtype == np.uint32
    assert len(json.loads((tmp_path / "smear_pink.geojson").read_text())["features"]) == labels.max() > 0


def test_predict_goes_on_past_a_bad_file_and_ends_with_a_list_of_those(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_text("not a picture")
    (folder / "b.png").write_bytes((EXAMPLES / "images" / "fluorescence_small.png").read_bytes())
    tifffile.imwrite(folder / "c.tif", np.zeros((3, 4, 5, 6), np.uint8), photometric="minisblack")
    result = run("predict", folder, folder / "missing.png", "--out", tmp_path / "out", "--format", "tif")
    assert result.returncode == 1
    assert results_in(tmp_path / "out") == {"b.tif"}
    assert "3 could not be segmented" in result.stderr
    for name in ("a.png", "c.tif", "missing.png"):
        assert result.stderr.count(str(folder / name)) == 1
    assert "Traceback" not in result.stderr


def test_predict_keeps_folders_apart_and_never_writes_two_images_to_one_name(tmp_path: Path) -> None:
    pixels = np.zeros((20, 20), np.uint8)
    for name in ("one/a.png", "two/a.png", "two/a.tif"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("tif"):
            tifffile.imwrite(path, pixels)
        else:
            path.write_bytes(imagecodecs.png_encode(pixels))
    result = run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "tif")
    assert result.returncode == 0, result.stderr
    assert results_in(tmp_path / "out") == {"one/a.tif", "two/a.png.tif", "two/a.tif.tif"}


def test_the_result_of_one_image_and_the_folder_of_another_keep_apart(tmp_path: Path) -> None:
    (tmp_path / "in" / "a.tif").mkdir(parents=True)
    for name in ("a.png", "a.tif/x.png"):
        (tmp_path / "in" / name).write_bytes(imagecodecs.png_encode(np.zeros((20, 20), np.uint8)))
    result = run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "tif")
    assert result.returncode == 0, result.stderr
    assert results_in(tmp_path / "out") == {"a.png.tif", "a.tif/x.tif"}


def test_predict_takes_a_file_that_is_named_twice_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(imagecodecs.png_encode(np.zeros((20, 20), np.uint8)))
    result = run("predict", tmp_path / "in", tmp_path / "in" / "a.png", "--out", tmp_path / "out", "--format", "tif")
    assert "in 1 image," in result.stdout
    assert results_in(tmp_path / "out") == {"a.tif"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict", "nothing-*.png", "--out", "x"], "no file matches nothing-*.png"),
        (["predict", EXAMPLES / "images", "--out", "x", "--format", "bmp"], "format"),
        (["predict", EXAMPLES / "images", "--out", "x", "--model", "no-such-bundle"], "no-such-bundle"),
        (["evaluate", "--data", "no-such-set"], "no-such-set"),
        (["evaluate", "--data", EXAMPLES, "--device", "abacus"], "abacus"),
        (["evaluate", "--data", EXAMPLES, "--subset", "new"], "NAME=FILE"),
        (["evaluate", "--data", EXAMPLES, "--subset", "new=no-such-list"], "no-such-list"),
        (["evaluate", "--data", EXAMPLES, "--out", EXAMPLES / "ORIGIN.md"], "folder"),
        (["download", "x", "--source", "mars"], "mars"),
        (["tune", "--data", EXAMPLES, "--out", "x", "--study", "mine"], "--storage"),
        (["tune", "--data", EXAMPLES, "--out", "x", "--storage", "mysql://me:secret@host/name"], "postgresql://"),
        (["calibrate", "embedded", "--data", EXAMPLES, "--out", EXAMPLES], "new or empty folder"),
        (["train", "--data", EXAMPLES, "--out", "x", "--form", "round"], "form"),
        (["train", "--data", EXAMPLES, "--out", "x", "--samples", "3"], "samples"),
        (["train", "--data", EXAMPLES, "--out", "x", "--from", "no-such-bundle"], "no-such-bundle"),
        (["train", "--data", "no-such-set", "--out", "x", "--from", "embedded", "--form", "plain"], "form lite0"),
        (["train", "--data", "no-such-set", "--out", "x", "--from", "small", "--pretrained"], "pretrained"),
    ],
)
def test_mistakes_end_in_one_line_and_exit_code_two(
    arguments: list[str | Path], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.returncode == 2
    assert says in result.stderr.replace("\n", "")
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_result_of_one_image_takes_the_name_of_another_images_result(tmp_path: Path) -> None:
    source = EXAMPLES / "images" / "fluorescence_small.png"
    for name in "a.png", "a.rle.png":
        shutil.copy(source, tmp_path / name)
    out = tmp_path / "out"
    done = run("predict", tmp_path / "a.png", tmp_path / "a.rle.png", "--out", out, "--format", "csv,rle")
    assert done.returncode == 0, done.stderr
    starts = sorted((out / name).read_bytes()[:5] for name in results_in(out))
    assert starts == [b"Image", b"Image", b"label", b"label"]


def test_train_makes_a_bundle_that_predict_and_evaluate_take(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    arguments = ("train", "--data", EXAMPLES, "--out", bundle, "--form", "plain", "--width", "4", "--depth", "1")
    arguments += ("--samples", "16", "--batch-size", "2", "--validate-every", "8", "--folds", "3", "--workers", "0")
    trained = run(*arguments)
    assert trained.returncode == 0, trained.stderr
    written = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert written == {
        "config.json",
        "weights.safetensors",
        "metrics.json",
        "training/checkpoint.safetensors",
        "training/curves.csv",
        "training/curves.png",
        "training/lock",
        "training/report.html",
    }
    curves = (bundle / "training" / "curves.csv").read_text().splitlines()
    assert len(curves) == 3
    assert "validation_pooled_ap50" in curves[0]

    evaluated = run("evaluate", "--data", EXAMPLES, "--model", bundle)
    assert evaluated.returncode == 0, evaluated.stderr
    first, *_, last = evaluated.stdout.splitlines()
    known = "Of 6 images, the model was trained on 4 and had its settings chosen on 2"
    assert first == f"{known}: its scores are optimistically biased."
    assert last.startswith("all ")
    assert run("predict", EXAMPLES / "images", "--out", tmp_path, "--model", bundle).returncode == 0


def test_evaluate_reports_several_sets_and_chosen_images(tmp_path: Path, tiny_bundle: Path) -> None:
    for name in ("one", "two"):
        for part in ("images", "masks"):
            (tmp_path / name / part).mkdir(parents=True)
            file = Path(part) / "smear_pink.png"
            (tmp_path / name / file).write_bytes((EXAMPLES / file).read_bytes())
    (tmp_path / "chosen.txt").write_text("two/smear_pink\n")
    arguments = ("evaluate", "--data", tmp_path / "one", "--data", tmp_path / "two", "--model", tiny_bundle)
    arguments += (
        "--group-by",
        "two=^[^_]+",
        "--subset",
        f"chosen={tmp_path / 'chosen.txt'}",
        "--out",
        tmp_path / "out",
    )
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / "out" / "report.html") in result.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.html", "report.json", "images.csv"}
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert figures["overall"]["images"] == 2
    assert figures["subsets"]["chosen"] == figures["categories"]["two"]
    assert [image["name"] for image in figures["images"]] == ["one/smear_pink", "two/smear_pink"]
    assert [line.split()[0] for line in result.stdout.splitlines()[2:-1]] == ["one", "two", "chosen", "all"]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_cannot_be_printed_are_no_reason_to_fail(tmp_path: Path, encoding: str) -> None:
    out = os.fsencode(tmp_path / "out") + b"-\xff"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    image = EXAMPLES / "images" / "fluorescence_small.png"
    command = [sys.executable, "-m", "nucleus_unet", "predict", image, "--out", out, "--format", "csv"]
    result = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert b"in 1 image, written to" in result.stdout


def test_train_keeps_a_model_that_was_not_trained_there(tmp_path: Path, tiny_bundle: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "kept")
    result = run("train", "--data", EXAMPLES, "--out", tmp_path / "kept", "--samples", "8", "--device", "cpu")
    assert result.returncode == 2
    assert "contains a model that was not trained there" in " ".join(result.stderr.split())
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {path.name for path in tiny_bundle.iterdir()}


def test_the_version_is_said() -> None:
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"nucleus-unet {__version__}\n")


def test_predict_measures_and_writes_cells(tmp_path: Path) -> None:
    image = EXAMPLES / "images" / "fluorescence_small.png"
    options = ("--measure", "shape,intensity", "--expand", "2.5um", "--mpp", "0.5")
    result = run("predict", image, "--out", tmp_path, *options, "--format", "tif,cells,rings,csv,roi")
    assert result.returncode == 0, result.stderr
    labels, cells, rings = (
        tifffile.imread(tmp_path / f"fluorescence_small{suffix}") for suffix in (".tif", ".cells.tif", ".rings.tif")
    )
    np.testing.assert_array_equal(np.where(labels > 0, labels, rings), cells)
    header = (tmp_path / "fluorescence_small.csv").read_text().splitlines()[0].split(",")
    assert {"cell_area_um2", "ring_grey_mean"} <= set(header)


def test_cells_without_a_distance_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    image = EXAMPLES / "images" / "fluorescence_small.png"
    result = run("predict", image, "--out", tmp_path / "out", "--format", "tif,cells")
    assert result.returncode == 2
    assert "cells and rings need cells: give --expand" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.returncode == 0
    commands = [
        "predict",
        "slide",
        "info",
        "view",
        "export",
        "export-model",
        "explore",
        "train",
        "tune",
        "calibrate",
        "classify",
        "score",
        "evaluate",
        "compare",
        "download",
    ]
    assert re.findall(r"^. ([a-z][a-z-]+)  ", result.stdout, flags=re.MULTILINE) == commands


@pytest.mark.parametrize("command", ["predict", "slide", "train", "tune", "evaluate"])
def test_help_shows_no_brackets_within_brackets(command: str) -> None:
    told = run(command, "--help").stdout
    assert not re.search(r"[\[(<]\s*[\[(<]|: \(", told)


@pytest.mark.parametrize("formats", ["tif", "png"])
def test_predict_refuses_to_overwrite_its_own_images(tmp_path: Path, formats: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), np.uint8))
    (tmp_path / "b.png").write_bytes((EXAMPLES / "images" / "fluorescence_small.png").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("predict", tmp_path, "--out", tmp_path, "--format", formats)
    assert result.returncode == 2
    assert "overwritten" in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_names_that_look_like_markup_are_only_names(tmp_path: Path) -> None:
    (tmp_path / "in" / "a [").mkdir(parents=True)
    (tmp_path / "in" / "a [/bold] bad.png").write_text("not a picture")
    (tmp_path / "in" / "b [red].png").write_bytes((EXAMPLES / "images" / "fluorescence_small.png").read_bytes())
    result = run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "csv")
    assert result.returncode == 1
    assert "a [/bold] bad.png" in result.stderr
    assert (tmp_path / "out" / "b [red].csv").exists()


@pytest.mark.parametrize(
    "option", [("--threshold", "5"), ("--tile", "0"), ("--batch-size", "0"), ("--diameter", "0"), ("--min-area", "-1")]
)
def test_an_impossible_option_is_refused_before_the_first_image(tmp_path: Path, option: tuple[str, str]) -> None:
    result = run("predict", EXAMPLES / "images", "--out", tmp_path / "out", *option)
    assert result.returncode == 2
    assert option[0].strip("-").replace("-", "_") in result.stderr
    assert not (tmp_path / "out").exists()


def test_train_shows_the_defaults_of_training_and_of_fine_tuning(tiny_bundle: Path) -> None:
    plain, fine = TrainConfig(), fine_tuning_config(load_bundle(tiny_bundle))
    hints = get_type_hints(train, include_extras=True)
    helps = {name: hint.__metadata__[0].help for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    shown = {name: text.partition(" Default: ")[2].removesuffix(".") for name, text in helps.items()}
    for name in ("samples", "batch_size", "learning_rate", "validate_every", "checkpoint_every", "seed"):
        default, tuned = getattr(plain, name), getattr(fine, name)
        assert shown[name] == (str(default) if default == tuned else f"{default}; {tuned} with --from"), name
    for name in ("form", "width", "depth"):
        assert shown[name] == str(getattr(plain.network, name)), name


def test_train_fine_tunes_the_embedded_model_on_a_few_images(tmp_path: Path) -> None:
    bundle = tmp_path / "mine"
    arguments = ("train", "--from", "embedded", "--data", EXAMPLES, "--out", bundle, "--samples", "2")
    result = run(*arguments, "--batch-size", "2", "--workers", "0", "--tensorboard")
    assert result.returncode == 0, result.stderr
    assert f"report: {bundle / 'training' / 'report.html'}" in result.stdout
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["training"]["images"] == 5
    assert metrics["validation"]["overall"]["images"] == 1
    # Two samples cannot undo what the model knows.
    known = metrics["origin"]["validation_pooled_ap50"]
    assert metrics["validation"]["overall"]["pooled_ap"]["0.50"] == pytest.approx(known, abs=0.05)
    assert known > 0.5
    assert "AP50, was" in (bundle / "training" / "report.html").read_text()
    assert list((bundle / "training" / "tensorboard").iterdir())


def test_train_does_not_fine_tune_a_model_into_its_own_folder(tiny_bundle: Path) -> None:
    before = {path: path.read_bytes() for path in tiny_bundle.iterdir()}
    result = run("train", "--from", tiny_bundle, "--data", EXAMPLES, "--out", tiny_bundle)
    assert result.returncode == 2
    assert "another folder" in " ".join(result.stderr.split())
    assert {path: path.read_bytes() for path in tiny_bundle.iterdir()} == before


def test_slide_writes_a_folder_of_results_and_goes_on_with_it(tmp_path: Path) -> None:
    image = EXAMPLES / "images" / "fluorescence_small.png"
    result = run("slide", image, "--out", tmp_path / "out", "--block", "100")
    assert result.returncode == 0, result.stderr
    labels = tifffile.imread(tmp_path / "out" / "labels.tif")
    assert f"{labels.max()} nuclei, written to {tmp_path / 'out'}" in result.stdout
    assert labels.max() > 5
    refused = run("slide", image, "--out", tmp_path / "out", "--threshold", "0.3")
    assert refused.returncode == 2
    assert re.search(r"foreground_threshold was [\d.]+, now is 0\.3\.", " ".join(refused.stderr.split()))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4503599627370496 bytes."),
    ],
)
def test_too_little_memory_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: Exception
) -> None:
    def exhausted() -> None:
        raise error

    monkeypatch.setattr("nucleus_unet.cli.app", exhausted)
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "error: not enough memory for this" in capsys.readouterr().err


def test_predict_counts_what_it_passes_over_and_names_it_if_asked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", np.zeros((20, 20), np.uint8))
    for name in ("._a.tif", "1.oir", "2.oir", "3.oir", "4.oir"):
        (tmp_path / "in" / name).write_bytes(b"content")
    command = ("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "csv")
    short, long = run(*command), run(*command, "--verbose")
    assert short.returncode == long.returncode == 0
    assert "1 hidden\n" in short.stderr
    assert (
        "4 .oir, to be converted to OME-TIFF first, for example with Fiji: 1.oir, 2.oir, 3.oir, and 1 more"
        in short.stderr
    )
    assert str(tmp_path / "in" / "._a.tif") in long.stderr
    assert str(tmp_path / "in" / "4.oir") in long.stderr


def test_predict_tells_that_images_are_done_already_and_begins_anew_if_asked(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "ab":
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", np.zeros((20, 20), np.uint8))
    command = ("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "csv")
    assert "done already" not in run(*command).stdout
    assert "done already: 2 of 2 images" in run(*command).stdout
    refused = run(*command, "--min-area", "7")
    assert refused.returncode == 2
    assert "min_area was None, now is 7" in " ".join(refused.stderr.split())
    assert "done already" not in run(*command, "--min-area", "7", "--overwrite").stdout


@pytest.mark.parametrize("name", ["x.vsi", "x.oir"])
def test_predict_of_a_format_that_nothing_reads_tells_to_convert_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    result = run("predict", tmp_path / name, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "convert it to OME-TIFF" in " ".join(result.stderr.split())
    again = run("predict", tmp_path, "--out", tmp_path / "out2")
    assert again.returncode == 2
    assert "no image found" in again.stderr
    assert "converted to OME-TIFF" in " ".join(again.stderr.split())


def test_predict_reads_a_zarr_image_of_a_folder(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "in" / "x.zarr", data=np.zeros((40, 40), np.uint8))
    result = run("predict", tmp_path / "in", "--out", tmp_path / "out", "--format", "csv")
    assert result.returncode == 0
    assert (tmp_path / "out" / "x.csv").exists()
