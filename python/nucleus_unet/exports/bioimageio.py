"""bioimage.io packages: the model as ONNX, a description by model specification 0.5, and test tensors."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet import __version__
from nucleus_unet.errors import BundleError
from nucleus_unet.exports.model_description import CHANNELS, to_markdown
from nucleus_unet.exports.overlay import overlay
from nucleus_unet.extras import require
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import maps_of_output
from nucleus_unet.model.bundle import CARD, Bundle
from nucleus_unet.model.onnx_graph import INPUT, OPSET, OUTPUT
from nucleus_unet.preprocessing.levels import normalise_image
from nucleus_unet.preprocessing.normalisation import PERCENTILES

WEIGHTS, TEST_INPUT, TEST_OUTPUT = "model.onnx", "test_inputs.npy", "test_outputs.npy"
SAMPLE, COVER, README, DESCRIPTION = "sample_input.png", "cover.png", "README.md", "rdf.yaml"
AUTHORS = "The nucleus-unet developers"

# Minimum side of a block in pixels. Smaller blocks consist mostly of border.
_LEAST_SIDE = 256
_CITED = (
    ("Ronneberger et al. 2015, U-Net", "10.1007/978-3-319-24574-4_28"),
    ("Tan and Le 2019, EfficientNet", "10.48550/arXiv.1905.11946"),
)


def write_package(bundle: Bundle, path: Path, description: dict[str, Any], weights: bytes) -> None:
    """Write a package after `bioimageio.spec` has validated it. No network access is needed.

    Parameters
    ----------
    bundle
        The model.
    path
        Path of the zip archive.
    description
        Description from `nucleus_unet.exports.model_description.describe`.
    weights
        The model as an ONNX file.

    Raises
    ------
    BundleError
        The package does not conform to the specification.
    """
    step, radius = description["tiles"]["stride"], description["tiles"]["receptive_radius"]
    halo = -(-radius // step) * step
    least = max(-(-_LEAST_SIDE // step) * step, 2 * halo + step)
    picture = synthetic_image((least, least + step), bundle.config.diameter)
    image = np.moveaxis(np.repeat(picture[..., None], 3, axis=-1), -1, 0)[None].astype(np.float32)
    output = _run(weights, picture)
    labels = group(maps_of_output(output[0]), bundle.config.grouping).labels
    side = (slice(least), slice(least))  # the aspect ratio of a cover is 1:1 or 2:1
    cover = np.hstack([overlay(picture[side], labels[side] * np.uint32(outlined)) for outlined in (0, 1)])
    files: dict[str, bytes] = {
        WEIGHTS: weights,
        TEST_INPUT: _npy(image),
        TEST_OUTPUT: _npy(output),
        SAMPLE: bytes(imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(image[0], 0, -1).astype(np.uint8)))),
        COVER: bytes(imagecodecs.png_encode(cover)),
        README: to_markdown(bundle, description).encode(),
    }
    if bundle.card:
        files[CARD] = bundle.card.encode()
    specification = _specification(bundle, description, halo=halo, least=least)
    with TemporaryDirectory() as temporary, _quiet():
        folder = Path(temporary)
        for name, content in {**files, DESCRIPTION: json.dumps(specification, indent=2).encode()}.items():
            (folder / name).write_bytes(content)
        _check_and_pack(folder / DESCRIPTION, path)


def synthetic_image(shape: tuple[int, int], diameter: float) -> NDArray[np.uint8]:
    """Return a synthetic image of bright nuclei on a dark, noisy background, which is free of third-party rights.

    Parameters
    ----------
    shape
        Height and width in pixels.
    diameter
        Mean diameter of the nuclei in pixels.
    """
    random = np.random.default_rng(0)
    rows, columns = np.indices(shape)
    image = random.normal(20.0, 4.0, shape)
    pitch = 1.8 * diameter
    for row in np.arange(pitch / 2, shape[0], pitch):
        for column in np.arange(pitch / 2, shape[1], pitch):
            down, right = random.normal(0, diameter / 6, 2)
            high, wide = diameter / 2 * random.uniform(0.8, 1.2, 2)
            distance = np.hypot((rows - row - down) / high, (columns - column - right) / wide)
            image += random.uniform(60, 160) / (1 + np.exp((distance - 1) * diameter / 2))
    result: NDArray[np.uint8] = np.rint(image.clip(0, 255)).astype(np.uint8)
    return result


def _run(weights: bytes, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    onnxruntime = require("onnxruntime", "test tensors need onnxruntime", extra="bioimageio")
    planes = normalise_image(picture)
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    image = np.ascontiguousarray(np.broadcast_to(planes, (1, 3, *planes.shape)))
    output: NDArray[np.float32] = session.run([OUTPUT], {INPUT: image})[0]
    return output


def _npy(array: NDArray[Any]) -> bytes:
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _specification(bundle: Bundle, description: dict[str, Any], *, halo: int, least: int) -> dict[str, Any]:
    config = bundle.config
    low, high = PERCENTILES
    space = ("y", "x")
    step = description["tiles"]["stride"]
    axes = ["channel", *space]  # not the batch: every image is normalised by its own percentiles
    specification: dict[str, Any] = {
        "type": "model",
        "format_version": "0.5.3",
        "name": f"nucleus-unet {re.sub(r'[^A-Za-z0-9_+()-]', '-', config.name)}"[:64],
        "description": "Finds nuclei in microscopy images. Output: foreground, centres and offsets, for grouping.",
        "version": __version__,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "authors": [{"name": AUTHORS}],
        "cite": [{"text": text, "doi": doi} for text, doi in _CITED[: 2 if config.network.form == "lite0" else 1]],
        "tags": [
            "2d",
            "nuclei",
            "unet",
            "instance-segmentation",
            "fluorescence-light-microscopy",
            "transmission-light-microscopy",
        ],
        "covers": [COVER],
        "documentation": README,
        "inputs": [
            {
                "id": INPUT,
                "description": "Brightfield or fluorescence image. A grey image is repeated as three channels.",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": description["input"]["channels"]},
                    *({"type": "space", "id": axis, "size": {"min": least, "step": step}} for axis in space),
                ],
                "data": {"type": "float32"},
                "preprocessing": [
                    {"id": "scale_range", "kwargs": {"axes": axes, "min_percentile": low, "max_percentile": high}},
                    {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
                ],
                "test_tensor": {"source": TEST_INPUT},
                "sample_tensor": {"source": SAMPLE},
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "Logits of foreground and centre heat; offsets to the centre (see README.md).",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": [name.replace(" ", "_") for name in CHANNELS]},
                    *(
                        {"type": "space", "id": axis, "size": {"tensor_id": INPUT, "axis_id": axis}, "halo": halo}
                        for axis in space
                    ),
                ],
                "data": {"type": "float32"},
                "test_tensor": {"source": TEST_OUTPUT},
            }
        ],
        "weights": {"onnx": {"source": WEIGHTS, "opset_version": OPSET}},
        "config": {"nucleus_unet": {name: each for name, each in description.items() if name != "model_card"}},
    }
    if (identifier := _spdx(description["licence"])) is not None:
        specification["license"] = identifier
    if bundle.card:
        specification["attachments"] = [{"source": CARD}]
    return specification


def _spdx(licence: str) -> str | None:
    """Return the SPDX identifier at the beginning of a licence's text, if there is one."""
    from bioimageio.spec.generic.v0_3 import LicenseId

    (names,) = (field.annotation for field in LicenseId.root_model.model_fields.values())
    first = re.match(r"[A-Za-z0-9.+-]*[A-Za-z0-9+]", licence)
    return first[0] if first is not None and first[0] in get_args(names) else None


def _check_and_pack(description: Path, path: Path) -> None:
    from bioimageio.spec import InvalidDescr, load_description, save_bioimageio_package

    loaded = load_description(description, perform_io_checks=True)
    if isinstance(loaded, InvalidDescr):
        raise BundleError(
            f"bioimageio.spec finds the package invalid: {loaded.get_reason()}; "
            "pip install 'nucleus-unet[bioimageio]' installs compatible versions"
        )
    save_bioimageio_package(loaded, output_path=path)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise OSError(f"{path}: {damaged} was damaged while it was written")


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress bioimageio's hints on optional metadata on the console."""
    from loguru import logger

    logger.disable("bioimageio")
    try:
        yield
    finally:
        logger.enable("bioimageio")
