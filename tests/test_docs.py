"""What the README and the documentation show, runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.stacks import draw_stack, write_hyperstack, write_plate
from nucleus_unet.masks import contours
from numpy.typing import NDArray
from skimage.data import immunohistochemistry

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "dsb2018"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# What is not run, by the program or the command of ours: it installs, builds, needs a network, or serves until Ctrl-C.
NOT_RUN = {"pip", "make", "conda", "download", "podman", "snakemake", "nextflow", "view", "ssh"}

# Only as long as it takes to see that it works.
SHORTER = {
    "train": " --samples 8 --batch-size 2 --folds 3",
    "tune": " --form plain --samples 8 --validate-every 8 --folds 3 --trials 1",
}

START = """
import subprocess, sys

def run_command(command):
    print("$", command, flush=True)
    command = command.replace("nucleus-unet", f"{sys.executable} -m nucleus_unet", 1)
    subprocess.run(command, shell=True, check=True)
"""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of the blocks of a page, in order."""
    found: list[tuple[str, str]] = re.findall(
        r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", page.read_text(), flags=re.DOTALL | re.MULTILINE
    )
    return found


def commands(block: str) -> list[str]:
    lines = [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]
    return [line.removeprefix("$ ").strip() for line in lines if line.startswith("$ ")]


def program(command: str) -> str:
    """The command of ours, or the program."""
    words = command.split()
    return words[1] if words[0] == "nucleus-unet" else words[0]


def script(page: Path) -> str:
    """What a reader does who follows a page from top to bottom."""
    steps = []
    for language, block in blocks(page):
        if language == "python":
            steps.append(block)
        elif language == "console":
            shown = [command for command in commands(block) if program(command) not in NOT_RUN]
            steps += [f"run_command({command + SHORTER.get(program(command), '')!r})" for command in shown]
    return "\n".join(steps)


def drawn_in_qupath(labels: NDArray[np.integer[Any]]) -> list[dict[str, Any]]:
    """The outlines of a label image as QuPath exports annotations, and a region of which all is right."""
    height, width = labels.shape
    corners = [[0, 0], [width, 0], [width, height - 8], [0, height - 8], [0, 0]]
    shapes = [{"type": "Polygon", "coordinates": [corners]}]
    classes = [{"name": "Region*", "color": [0, 0, 180]}]
    for pieces in contours(labels).values():
        shapes.append({"type": "MultiPolygon", "coordinates": [[ring.tolist() for ring in rings] for rings in pieces]})
        classes.append({"name": "Nucleus", "color": [255, 200, 0]})
    return [
        {"type": "Feature", "geometry": shape, "properties": {"objectType": "annotation", "classification": each}}
        for shape, each in zip(shapes, classes, strict=True)
    ]


@pytest.fixture
def folder_of_a_reader(tmp_path: Path) -> Path:
    """The files that the pages name (docs/tutorials/index.md lists them)."""
    picture = imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_small.png"))
    labels = imagecodecs.imread(str(EXAMPLES / "masks" / "fluorescence_small.png"))
    for each in ("plates", "images"):
        (tmp_path / each).mkdir()
        shutil.copy(EXAMPLES / "images" / "fluorescence_small.png", tmp_path / each / "cells.png")
    shutil.copy(EXAMPLES / "images" / "fluorescence_small.png", tmp_path / "cells.png")
    shutil.copy(EXAMPLES / "images" / "stained_tissue.png", tmp_path / "tissue.png")
    shutil.copytree(ROOT / "examples" / "marks", tmp_path / "marks")
    (tmp_path / "smears").mkdir()
    for path in (EXAMPLES / "images").glob("smear_*.png"):
        shutil.copy(path, tmp_path / "smears")
    for each in ("cells.tif", "slide.svs"):
        tifffile.imwrite(tmp_path / each, picture)
    for each in ("truth.tif", "other-tool.tif"):
        tifffile.imwrite(tmp_path / each, labels)
    channels = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "channels.ome.tif", np.stack([picture, picture // 2]), metadata=channels)
    (tmp_path / "channels.ome.tif").rename(tmp_path / "channels.tif")
    write_hyperstack(tmp_path / "stack.tif", draw_stack(times=4), "ImageJ")
    write_plate(
        tmp_path / "plate.zarr", {"B/03": [picture[:64, :64], picture[64:128, :64]], "C/04": [picture[:64, 64:128]]}
    )
    brown = np.ascontiguousarray(immunohistochemistry()[:256, :256])
    (tmp_path / "ihc.png").write_bytes(bytes(imagecodecs.png_encode(brown)))
    corners = [[20, 20], [200, 20], [200, 200], [20, 200], [20, 20]]
    region = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [corners]}}
    (tmp_path / "drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [region]}))
    # Corners of the examples: as many images, in a quarter of the time.
    (tmp_path / "data").mkdir()
    (tmp_path / "corrected").mkdir()
    with zipfile.ZipFile(tmp_path / "data" / "stage1_train.zip", "w") as archive:
        for path in sorted((EXAMPLES / "images").iterdir()):
            image = np.ascontiguousarray(imagecodecs.imread(str(path))[:128, :128])
            masks = np.ascontiguousarray(imagecodecs.imread(str(EXAMPLES / "masks" / path.name))[:128, :128])
            for each in ("my-data", "other-laboratory"):
                for folder, pixels in (("images", image), ("masks", masks)):
                    (tmp_path / each / folder).mkdir(parents=True, exist_ok=True)
                    (tmp_path / each / folder / path.name).write_bytes(bytes(imagecodecs.png_encode(pixels)))
            (tmp_path / "corrected" / path.name).write_bytes(bytes(imagecodecs.png_encode(image)))
            drawn = json.dumps({"type": "FeatureCollection", "features": drawn_in_qupath(masks)})
            (tmp_path / "corrected" / f"{path.stem}.geojson").write_text(drawn)
            archive.writestr(f"{path.stem}/images/{path.name}", bytes(imagecodecs.png_encode(image)))
            for label in np.unique(masks[masks > 0]):
                mask = np.where(masks == label, 255, 0).astype(np.uint8)
                archive.writestr(f"{path.stem}/masks/{label}.png", bytes(imagecodecs.png_encode(mask)))
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if script(page)], ids=name)
def test_a_page_can_be_followed_from_top_to_bottom(page: Path, folder_of_a_reader: Path) -> None:
    variables = {**os.environ, "MPLBACKEND": "agg"}
    result = subprocess.run(
        [sys.executable, "-c", START + script(page)],
        cwd=folder_of_a_reader,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_command_is_shown() -> None:
    shown = {
        program(each)
        for page in PAGES
        for language, block in blocks(page)
        if language == "console"
        for each in commands(block)
    }
    assert shown >= {
        "predict",
        "info",
        "slide",
        "view",
        "export",
        "export-model",
        "download",
        "explore",
        "tune",
        "train",
        "calibrate",
        "evaluate",
        "compare",
        "classify",
        "score",
    }


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_snippet_escapes(page: Path) -> None:
    assert {language for language, _ in blocks(page)} <= {"python", "console", "text"}
    assert page.read_text().count("```") == 2 * len(blocks(page))
    for language, block in blocks(page):
        if language == "console":
            assert len(commands(block)) == len([line for line in block.splitlines() if line.strip()])


def test_the_readme_is_short_and_its_example_writes_a_file() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= 120
    assert any(language == "python" and "cells.geojson" in block for language, block in blocks(readme))


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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_the_table_of_formats_is_that_of_the_library() -> None:
    spec = importlib.util.spec_from_file_location("formats", ROOT / "docs" / "formats.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page() == script.PAGE.read_text(), "run python docs/formats.py"


def test_every_page_is_named_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    for page in sorted((ROOT / "docs").rglob("*.md")):
        assert page.relative_to(ROOT / "docs").as_posix() in navigation, name(page)


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
