"""What runs where there is no torch and no connection: each in a process of its own, as a user would start it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.images import draw_discs
from numpy.typing import NDArray
from scipy import ndimage

# Neither a test runner nor a build server: some packages send nothing where they see one.
BARE = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # an import fails
from nucleus_unet.cli import main
sys.argv = ["nucleus-unet", *sys.argv[1:]]
main()
"""

WITHOUT_CONNECTIONS = """
import sys, threading
tried = []
def look(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        tried.append((event, str(arguments)))
sys.addaudithook(look)
from nucleus_unet.cli import main
sys.argv = ["nucleus-unet", *sys.argv[1:]]
try:
    main()
finally:
    for thread in threading.enumerate():  # what is sent is often sent by a thread of its own
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(5)
    if tried:
        sys.exit(f"tried to connect: {tried}")
"""


def run(script: str, *arguments: object) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], env=BARE, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "cells.tif"
    tifffile.imwrite(path, draw_discs((120, 140), [(30, 30, 11), (35, 90, 10), (85, 60, 12)]))
    return path


def labels_of(image: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return ndimage.label(image > 100)[0].astype(np.uint16)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images with their nuclei."""
    folder = tmp_path_factory.mktemp("labelled")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(6):
        image = draw_discs((96, 96), [(24, 24, 8), (26, 64, 9), (66, 30 + number, 8)])
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{number}.tif", labels_of(image))
    return folder


def test_predict_needs_no_torch(picture: Path, tmp_path: Path) -> None:
    said = run(WITHOUT_TORCH, "predict", picture, "--out", tmp_path, "--format", "tif,geojson,csv,png", "--augment")
    assert "3 nuclei" in said
    assert (tmp_path / "cells.tif").exists()


def test_slides_and_their_exports_need_no_torch(picture: Path, tmp_path: Path) -> None:
    run(WITHOUT_TORCH, "slide", picture, "--out", tmp_path / "slide")
    run(WITHOUT_TORCH, "export", tmp_path / "slide", "--format", "omezarr,rle,coco,geojson", "--out", tmp_path / "all")
    assert len(list((tmp_path / "all").iterdir())) == 4


@pytest.mark.parametrize("command", ["evaluate", "explore", "calibrate"])
def test_looking_at_a_labelled_set_needs_no_torch(command: str, labelled: Path, tmp_path: Path) -> None:
    if command == "evaluate":
        run(WITHOUT_TORCH, "evaluate", "--data", labelled, "--out", tmp_path / "report")
    elif command == "explore":
        run(WITHOUT_TORCH, "explore", labelled, "--out", tmp_path / "set.html")
    else:
        run(WITHOUT_TORCH, "calibrate", "embedded", "--data", labelled, "--out", tmp_path / "model")
    assert list(tmp_path.iterdir())


def test_comparing_models_needs_no_torch(labelled: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    run(WITHOUT_TORCH, "compare", "embedded", tiny_bundle, "--data", labelled, "--out", tmp_path / "comparison")
    assert (tmp_path / "comparison").exists()


def test_training_without_torch_names_the_command_that_installs_it(labelled: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, "train", "--data", str(labelled), "--out", str(tmp_path / "model")],
        env=BARE,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "pip install 'nucleus-unet[train]'" in " ".join(ended.stderr.split())


def test_predict_opens_no_connection(picture: Path, tmp_path: Path) -> None:
    assert "3 nuclei" in run(WITHOUT_CONNECTIONS, "predict", picture, "--out", tmp_path)


def test_train_opens_no_connection_and_its_model_runs_without_torch(
    labelled: Path, picture: Path, tmp_path: Path
) -> None:
    options = ("--form", "plain", "--width", 4, "--depth", 1, "--samples", 8, "--batch-size", 4, "--workers", 0)
    run(WITHOUT_CONNECTIONS, "train", "--data", labelled, "--out", tmp_path / "model", *options)
    run(WITHOUT_TORCH, "predict", picture, "--model", tmp_path / "model", "--out", tmp_path / "found")
    assert (tmp_path / "found" / "cells.tif").exists()
