"""The recipes of the page on scanpy, squidpy and sopa run, each where its package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from helpers.paths import EXAMPLES, ROOT
from nucleus_unet import Segmenter

PAGE = (ROOT / "docs" / "how-to" / "single-cell-tables.md").read_text(encoding="utf-8")


def recipe(package: str) -> str:
    """The blocks of the page that need a package, in order."""
    blocks = [part.partition("```")[0] for part in PAGE.split("```text\n")[1:]]
    found = [block for block in blocks if block.startswith(f"# needs {package}\n")]
    assert found
    return "\n".join(found)


@pytest.mark.parametrize("package", ["squidpy", "spatialdata", "sopa", "geopandas"])
def test_the_recipe_runs(package: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: it is too large for the dependency group dev")
    picture = imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_small.png"))
    channels = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(tmp_path / "channels.ome.tif", np.stack([picture, picture // 2]), metadata=channels)
    (tmp_path / "channels.ome.tif").rename(tmp_path / "channels.tif")
    options = {"channel": "DAPI", "measure": "intensity,shape", "expand": 8, "mpp": 0.5}
    nuclei = Segmenter.from_pretrained().predict(tmp_path / "channels.tif", **options)
    files = {"squidpy": "cells.h5ad", "sopa": "cells.spatialdata.zarr", "geopandas": "cells.parquet"}
    if package == "squidpy":
        nuclei.to_anndata(name="plate 1").write_h5ad(tmp_path / "cells.h5ad")
    elif package in files:
        nuclei.save(tmp_path / files[package])
    result = subprocess.run(
        [sys.executable, "-c", recipe(package)],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
