"""The examples for workflow managers and the container do what they say, as far as their programs are here."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.paths import EXAMPLES, ROOT

PIPELINES = ROOT / "examples" / "pipelines"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables of a shell in which nucleus-unet is installed."""
    pytest.importorskip("anndata", reason="anndata is not installed; the dependency group dev has it")
    command = tmp_path / "bin" / "nucleus-unet"
    command.parent.mkdir()
    python = os.pathsep.join(filter(None, sys.path))
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{python}" exec "{sys.executable}" -m nucleus_unet "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images, one with a name that a shell would split."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a b.png", "c.png"):
        shutil.copy(EXAMPLES / "images" / "fluorescence_small.png", folder / name)
    return folder


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake, which has pins of its own")
def test_the_snakemake_example_makes_one_table_of_all_images(
    images: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    command = ["snakemake", "--snakefile", str(PIPELINES / "Snakefile"), "--cores", "2"]
    command += ["--config", f"images={images}", "out=results"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    with (tmp_path / "results" / "nuclei.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["image"] for row in rows} == {str(images / "a b.png"), str(images / "c.png")}
    answers = [json.loads(path.read_text()) for path in sorted((tmp_path / "results").glob("*/answer.json"))]
    assert len(rows) == sum(answer["nuclei"] for answer in answers) > 20
    assert (tmp_path / "results" / "a b" / "a b.h5ad").exists()


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake, which has pins of its own")
def test_an_image_that_cannot_be_read_fails_its_job_and_no_table_is_made(
    images: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (images / "bad.png").write_text("not a picture")
    command = ["snakemake", "--snakefile", str(PIPELINES / "Snakefile"), "--cores", "2", "--keep-going"]
    command += ["--config", f"images={images}", "out=results"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode != 0
    assert not (tmp_path / "results" / "nuclei.csv").exists()
    assert "cannot be read as an image" in (tmp_path / "results" / "bad" / "log.txt").read_text()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, in which Nextflow runs its tasks")
def test_the_task_of_the_nextflow_example_writes_the_outputs_that_it_declares(
    images: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    text = (PIPELINES / "main.nf").read_text(encoding="utf-8")
    script = re.findall(r'script:\s+"""\n(.*?)"""', text, flags=re.DOTALL)[0]
    values = {"image": "a b.png", "image.baseName": "a b"}
    values |= {f"params.{name}": value for name, value in re.findall(r"^params\.(\w+) = '(.*)'$", text, re.MULTILINE)}

    def filled(template: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda found: values[found[1]], template)

    work = tmp_path / "work"
    work.mkdir()
    (work / "a b.png").symlink_to(images / "a b.png")  # as Nextflow stages inputs
    subprocess.run(["bash", "-euo", "pipefail", "-c", filled(script)], cwd=work, env=environment, check=True)
    outputs = [filled(each) for each in re.findall(r'^    path "(.*?)"', text, flags=re.MULTILINE)]
    assert len(outputs) == 3
    assert [each for each in outputs if not (work / each).is_file()] == []
    assert json.loads((work / "a b.json").read_text())["failures"] == 0


def test_the_container_copies_what_there_is_and_installs_extras_that_exist() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, flags=re.MULTILINE) for name in line.split()]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    extras = re.findall(r"whl\)\[([\w,]+)\]", text)[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= project["optional-dependencies"].keys()
