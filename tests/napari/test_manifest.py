"""What napari is told of the plugin."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import nucleus_unet
import numpy as np
import pytest
from helpers.paths import ROOT
from nucleus_unet.io.source import read_image
from nucleus_unet.napari import samples

FOLDER = Path(nucleus_unet.__file__).parent / "napari"


def manifest() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed; dask brings it")
    content: dict[str, Any] = yaml.safe_load((FOLDER / "napari.yaml").read_text(encoding="utf-8"))
    return content


def test_the_package_names_the_manifest() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["napari.manifest"]
    assert points == {"nucleus-unet": "nucleus_unet.napari:napari.yaml"}
    assert (FOLDER / "napari.yaml").exists()


def test_every_command_of_the_manifest_is_there_without_napari() -> None:
    for command in manifest()["contributions"]["commands"]:
        module, _, name = command["python_name"].partition(":")
        assert callable(getattr(import_module(module), name)), command["id"]


def test_every_command_is_offered() -> None:
    contributions = manifest()["contributions"]
    offered = [each["command"] for kind in ("widgets", "readers", "sample_data") for each in contributions[kind]]
    assert sorted(offered) == sorted(command["id"] for command in contributions["commands"])


def test_npe2_finds_the_manifest_valid() -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2 is not installed; it comes with napari")
    npe2.PluginManifest.from_file(FOLDER / "napari.yaml").validate_imports()


@pytest.mark.parametrize("name", ["fluorescence_small", "fluorescence_crowded", "stained_tissue"])
def test_the_sample_images_are_those_of_the_examples(name: str) -> None:
    read = {
        "fluorescence_small": samples.fluorescence,
        "fluorescence_crowded": samples.crowded_fluorescence,
        "stained_tissue": samples.stained_tissue,
    }[name]
    [(pixels, options, kind)] = read()
    assert kind == "image"
    assert options["rgb"] == (pixels.ndim == 3)
    assert np.array_equal(pixels, read_image(ROOT / "examples" / "dsb2018" / "images" / f"{name}.png"))


def test_the_samples_are_small() -> None:
    assert sum(path.stat().st_size for path in (FOLDER / "samples").glob("*.png")) < 2**18
