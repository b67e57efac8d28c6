"""What the README shows, runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "dsb2018"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


# Only as long as it takes to see that it works.
SHORTER = {
    "train": " --samples 8 --batch-size 2 --folds 3",
    "tune": " --form plain --samples 8 --validate-every 8 --folds 3 --trials 1",
}


def run(command: str, folder: Path) -> None:
    arguments = command.replace("nucleus-unet", f"{sys.executable} -c 'from nucleus_unet.cli import main; main()'", 1)
    result = subprocess.run(arguments, shell=True, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    tifffile.imwrite("cells.tif", imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_small.png")))
    (code,) = blocks("python")
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert Path("cells.geojson").exists()


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env={**os.environ, "MPLBACKEND": "agg"})
    for name in ("crowded.geojson", "set.html", "mine/training/report.html"):
        assert (tmp_path / "notebook-results" / name).exists(), name


def test_the_notebook_holds_no_results() -> None:
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    for cell in notebook["cells"]:
        assert not cell.get("outputs")


def test_the_commands_for_training_evaluating_and_predicting_run(tmp_path: Path) -> None:
    for name in ("plates", "images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cells.png").write_bytes((EXAMPLES / "images" / "fluorescence_small.png").read_bytes())
    tifffile.imwrite(tmp_path / "slide.svs", imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_small.png")))
    (tmp_path / "data").mkdir()
    shutil.copytree(EXAMPLES, tmp_path / "other-laboratory")
    with zipfile.ZipFile(tmp_path / "data" / "stage1_train.zip", "w") as archive:
        for path in sorted((EXAMPLES / "images").iterdir()):
            archive.write(path, f"{path.stem}/images/{path.name}")
            labels = imagecodecs.imread(str(EXAMPLES / "masks" / path.name))
            for label in np.unique(labels[labels > 0]):
                mask = np.where(labels == label, 255, 0).astype(np.uint8)
                archive.writestr(f"{path.stem}/masks/{label}.png", bytes(imagecodecs.png_encode(mask)))
    shown = [command for command in commands() if command.startswith("nucleus-unet")]
    names = [
        "predict",
        "slide",
        "export",
        "download",
        "explore",
        "tune",
        "train",
        "calibrate",
        "evaluate",
        "compare",
        "predict",
    ]
    assert [command.split()[1] for command in shown] == names
    for command in shown:
        if " download " in command:
            continue  # needs a network; tests/test_download.py has a server
        run(command + SHORTER.get(command.split()[1], ""), tmp_path)
    assert (tmp_path / "slide.nuclei" / "nuclei.parquet").exists()
    assert (tmp_path / "results" / "cells.tif").exists()


def test_links_within_the_repository_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_make_targets_that_are_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    shown = re.findall(r"\$ make ([\w-]+)", (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text())
    assert {"demo", "test"} <= set(shown)
    for target in shown:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_all_files_that_tell_the_version_tell_the_same() -> None:
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for name, pattern in (
        ("CITATION.cff", r"^version: (.*)$"),
        ("conda/recipe/recipe.yaml", r'^  version: "(.*)"$'),
        ("CHANGELOG.md", r"^## (\S+)"),
    ):
        told = re.search(pattern, (ROOT / name).read_text(), flags=re.MULTILINE)
        assert told is not None, name
        assert told[1] == version, name


def test_the_conda_package_needs_what_the_wheel_needs() -> None:
    recipe = (ROOT / "conda" / "recipe" / "recipe.yaml").read_text()
    needed = re.findall(r"^    - (.+)$", recipe[recipe.index("  run:") : recipe.index("tests:")], flags=re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {each.partition(";")[0].strip() for each in project["dependencies"]}
    assert {each.replace(" ", "") for each in needed} == wanted | {f"python{project['requires-python']}"}
