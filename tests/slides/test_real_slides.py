"""Regions of real slides, cut in many ways, by one process and by two: no pixel differs from the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from distributed import Client
from nucleus_unet.io.source import open_image
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray

# As large as about a minute allows for both slides; `benchmarks/slide_exact.py` compares the whole of them.
REGION = slice(400, 1168), slice(300, 1196)


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    """The model that comes with the package."""
    return Segmenter.from_pretrained(device="cpu")


@pytest.fixture(scope="module", params=["slides/CMU-1-Small-Region.svs", "images/HE_example.tif"])
def region(request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that workers can open."""
    path = tmp_path_factory.mktemp("regions") / "region.tif"
    pixels = open_image(real_data / request.param).plane().read(*REGION)
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib", photometric="rgb")
    return path


@pytest.fixture(scope="module")
def whole(embedded: Segmenter, region: Path) -> NDArray[np.uint32]:
    """The labels of one network call and one call of the grouping."""
    labels = embedded.predict(region, tile=1024).labels
    assert labels.max() > 50
    return labels


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("tile", "block"), [(352, 224), (384, 777), (448, 160), (512, 300), (640, 448)])
def test_a_real_slide_has_the_nuclei_of_the_whole_image(
    embedded: Segmenter,
    client: Client,
    region: Path,
    whole: NDArray[np.uint32],
    tmp_path: Path,
    tile: int,
    block: int,
    processes: int,
) -> None:
    workers = client if processes == 2 else None
    result = embedded.predict_slide(
        region, out=tmp_path, tile=tile, block=block, workers=1, tissue=False, client=workers
    )
    np.testing.assert_array_equal(tifffile.imread(result.labels_path), whole)
