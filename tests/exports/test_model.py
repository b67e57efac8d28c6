"""Exported models: the same numbers as this package's engine, and all that belongs to them said beside them."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from helpers.commands import run
from helpers.networks import bundle_of, random_network
from helpers.paths import EXAMPLES, ROOT
from nucleus_unet import Segmenter
from nucleus_unet.errors import MissingExtraError, SettingsError
from nucleus_unet.exports import model as model_export
from nucleus_unet.exports.model import export_model
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.graph import receptive_radius, stride
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.onnx_graph import build_onnx
from nucleus_unet.preprocessing.normalisation import PERCENTILES
from numpy.typing import NDArray

NETWORKS = {
    "lite0": NetworkConfig(decoder=(32, 24, 16, 8)),
    "plain": NetworkConfig(form="plain", width=8, depth=2, stem_stride=1),
    "plain, folded": NetworkConfig(form="plain", width=8, depth=3, stem_stride=2),
}


@pytest.fixture(scope="module", params=["embedded", *NETWORKS])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return load_bundle() if request.param == "embedded" else bundle_of(random_network(NETWORKS[request.param]))


@pytest.fixture(scope="module")
def tiny(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


def session_of(content: bytes | str) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def images(count: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(height + width).random((count, height, width, 3), np.float32)


def test_onnx_of_any_size_and_batch_gives_the_numbers_of_the_engine(bundle: Bundle) -> None:
    network = bundle.config.network
    session = session_of(build_onnx(network, bundle.weights).SerializeToString())
    engine = OpenVinoEngine(bundle, "float32")
    step = stride(network)
    for count, height, width in (1, 1, 1), (1, 3, 5), (3, 4, 2), (2, 10, 17):
        shown = images(count, height * step, width * step)
        (output,) = session.run(["output"], {"image": shown.transpose(0, 3, 1, 2)})
        assert output.shape == (count, 4, height * step, width * step)
        np.testing.assert_allclose(output, engine.run(shown), rtol=0, atol=1e-4)


def test_onnx_passes_the_full_check_and_has_free_sizes(bundle: Bundle) -> None:
    graph = build_onnx(bundle.config.network, bundle.weights)
    onnx.checker.check_model(graph, full_check=True)
    for tensor, channels in (graph.graph.input[0], 3), (graph.graph.output[0], 4):
        sizes = tensor.type.tensor_type.shape.dim
        assert [size.dim_param or size.dim_value for size in sizes] == ["batch", channels, "height", "width"]


def test_equal_models_give_equal_files(tiny: Bundle, tmp_path: Path) -> None:
    first, second = (export_model(tiny, tmp_path / name / "model.onnx", "onnx") for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_file_and_its_neighbour_say_how_to_prepare_images_and_to_group(tmp_path: Path) -> None:
    bundle = load_bundle()
    file, beside = export_model(bundle, tmp_path / "nuclei", "onnx")
    assert (file.name, beside.name) == ("nuclei.onnx", "nuclei.onnx.json")
    said = json.loads(beside.read_text())
    assert said["input"]["normalisation"]["percentiles"] == list(PERCENTILES)
    assert said["input"]["padding"]["multiple_of"] == said["tiles"]["stride"] == stride(bundle.config.network)
    assert said["tiles"]["receptive_radius"] == receptive_radius(bundle.config.network)
    assert GroupConfig.from_json(said["grouping"]["settings"]) == bundle.config.grouping
    for setting in said["grouping"]["settings"]:
        assert setting in " ".join(said["grouping"]["how"])
    assert len(said["output"]["channels"]) == 4
    assert said["fingerprint"] == bundle.fingerprint
    assert said["licence"].startswith("Apache-2.0")
    assert "CC BY 4.0" in said["model_card"]
    inside = session_of(str(file)).get_modelmeta().custom_metadata_map
    del said["files"]
    assert {name: each if isinstance(said[name], str) else json.loads(each) for name, each in inside.items()} == said


def test_a_model_without_a_card_has_no_licence_made_up(tmp_path: Path) -> None:
    file = export_model(bundle_of(random_network(NETWORKS["plain"])), tmp_path / "model", "onnx")[-1]
    assert "ask" in json.loads(file.read_text())["licence"]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_openvino_read_back_gives_the_bits_of_the_engine(precision: Any, tmp_path: Path) -> None:
    bundle = load_bundle()
    paths = export_model(bundle, tmp_path / "nuclei.xml", "openvino", precision=precision)
    assert [path.name for path in paths] == ["nuclei.xml", "nuclei.bin", "nuclei.xml.json"]
    compiled = openvino.Core().compile_model(paths[0], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert (compiled.input(0).any_name, compiled.output(0).any_name) == ("image", "output")
    engine = OpenVinoEngine(bundle, precision)
    for size in (64, 80), (272, 128):
        shown = images(1, *size)
        np.testing.assert_array_equal(compiled({"image": shown})["output"], engine.run(shown))


def test_openvino_is_in_int8_if_the_model_is_by_default(tiny: Bundle, tmp_path: Path) -> None:
    for bundle, precision in (load_bundle(), "int8"), (tiny, "float32"):
        beside = export_model(bundle, tmp_path / precision, "openvino")[-1]
        assert json.loads(beside.read_text())["precision"] == precision


def test_what_cannot_be_is_refused(tiny: Bundle, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="format: expected onnx, openvino, bioimageio"):
        export_model(tiny, tmp_path / "model", "pickle")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="precision: expected auto, int8, float32"):
        export_model(tiny, tmp_path / "model", "openvino", precision="float16")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no int8 form"):
        export_model(tiny, tmp_path / "model", "openvino", precision="int8")
    with pytest.raises(SettingsError, match="int8 needs the format openvino"):
        export_model(load_bundle(), tmp_path / "model", "onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "missing"), [("onnx", "onnx"), ("bioimageio", "bioimageio.spec")])
def test_a_missing_package_is_named_with_its_command(
    kind: Any, missing: str, tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = builtins.__import__

    def absent(name: str, *arguments: Any, **options: Any) -> Any:
        if name == missing:
            raise ImportError(name)
        return genuine(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=re.escape(f"pip install 'nucleus-unet[{kind}]'")):
        export_model(tiny, tmp_path / "model", kind)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_is_replaced_whole(tiny: Bundle, tmp_path: Path) -> None:
    for kind in ("onnx", "openvino"):
        paths = export_model(load_bundle(), tmp_path / "model", kind)
        before = [path.read_bytes() for path in paths]
        assert export_model(tiny, tmp_path / "model", kind) == paths
        assert all(path.read_bytes() != content for path, content in zip(paths, before, strict=True))
    names = {"model.onnx", "model.onnx.json", "model.xml", "model.bin", "model.xml.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "model.xml.json"])
def test_what_no_export_made_stays(name: str, tiny: Bundle, tmp_path: Path) -> None:
    foreign = tmp_path / name
    foreign.write_text("{}")
    with pytest.raises(SettingsError, match=f"{name} exists and is not the unchanged file"):
        export_model(tiny, tmp_path / "model", "openvino")
    assert foreign.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [foreign]


def test_an_export_that_somebody_changed_stays(tiny: Bundle, tmp_path: Path) -> None:
    file, _ = export_model(tiny, tmp_path / "model", "onnx")
    changed = file.read_bytes() + b"mine"
    file.write_bytes(changed)
    with pytest.raises(SettingsError, match=r"model\.onnx exists and is not the unchanged file"):
        export_model(tiny, tmp_path / "model", "onnx")
    assert file.read_bytes() == changed


def test_an_export_that_fails_leaves_nothing_and_the_earlier_one(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = export_model(tiny, tmp_path / "model", "openvino")
    before = [path.read_bytes() for path in paths]

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(openvino, "save_model", full)
    for name in ("model", "other"):
        with pytest.raises(OSError, match="no space left"):
            export_model(load_bundle(), tmp_path / name, "openvino")
    assert [path.read_bytes() for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_an_export_that_was_killed_while_it_was_put_in_place_can_be_made_again(
    tiny: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = export_model(tiny, tmp_path / "model", "openvino")
    genuine = {name: getattr(Path, name) for name in ("unlink", "replace")}
    for allowed in range(6):
        left = allowed

        def step(name: str, path: Path, *arguments: Any, **options: Any) -> Any:
            nonlocal left
            if path.name.startswith("model."):
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return genuine[name](path, *arguments, **options)

        with monkeypatch.context() as patched:
            for name in genuine:
                patched.setattr(Path, name, lambda path, *a, name=name, step=step, **o: step(name, path, *a, **o))
            # Only the last step: what comes before goes to a folder of its own.
            patched.setattr(model_export, "write_atomically", lambda path, content: path.write_text(content))
            with pytest.raises(KeyboardInterrupt):
                export_model(tiny, tmp_path / "model", "openvino")
        if (tmp_path / "model.xml").exists():
            assert all((tmp_path / name).exists() for name in ("model.bin", "model.xml.json"))
        assert export_model(tiny, tmp_path / "model", "openvino") == paths
        assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_the_command_says_where_the_files_are(tiny_bundle: Path, tmp_path: Path) -> None:
    result = run("export-model", "--model", tiny_bundle, "--format", "onnx", "--out", tmp_path / "tiny")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [f"{tmp_path / 'tiny.onnx'}", f"{tmp_path / 'tiny.onnx.json'}"]
    (tmp_path / "mine.onnx").write_text("mine")
    result = run("export-model", "--model", tiny_bundle, "--format", "onnx", "--out", tmp_path / "mine.onnx")
    assert result.returncode == 2
    assert "choose another --out" in " ".join(result.stderr.split())
    assert run("export-model", "--format", "pickle", "--out", tmp_path / "a").returncode == 2


@pytest.mark.parametrize("picture", ["fluorescence_small", "stained_tissue"])
def test_the_nine_lines_of_the_page_find_the_nuclei_of_this_package(picture: str, tmp_path: Path) -> None:
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "export-model.md").read_text(), flags=re.DOTALL
    )
    lines = [line for line in code.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) == 9
    export_model(load_bundle(), tmp_path / "nuclei.onnx", "onnx")
    content = (EXAMPLES / "images" / f"{picture}.png").read_bytes()
    (tmp_path / "cells.png").write_bytes(content)
    saved = code + "\nnp.save('labels.npy', labels)\n"
    subprocess.run([sys.executable, "-c", saved], check=True, cwd=tmp_path)
    labels = np.load(tmp_path / "labels.npy")
    segmenter = Segmenter(load_bundle(), device="cpu", precision="float32")
    reference = segmenter.bundle.config.diameter  # the lines of the page do not scale
    expected = segmenter.predict(imagecodecs.png_decode(content), dab=False, diameter=reference).labels
    assert expected.max() > 5
    assert np.mean((labels > 0) == (expected > 0)) > 0.9999
    assert abs(int(labels.max()) - int(expected.max())) <= 1


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model for bioimage.io."""
    pytest.importorskip("bioimageio.core")
    import pydantic

    if tuple(map(int, pydantic.VERSION.split(".")[:2])) >= (2, 14):
        pytest.skip("bioimageio.spec needs pydantic older than 2.14, as the extra bioimageio asks for")
    return export_model(load_bundle(), tmp_path_factory.mktemp("package") / "nuclei", "bioimageio")[0]


def normalised(image: NDArray[np.float32]) -> NDArray[np.float32]:
    black, white = np.percentile(image, PERCENTILES)
    return ((image - black) / (white - black)).clip(0, 1).astype(np.float32)


OFFLINE = """
import socket, sys

def refused(*arguments, **options):
    raise OSError("the internet was asked")

socket.socket.connect = socket.getaddrinfo = refused
"""


def test_the_package_is_valid_and_runs_without_the_internet(package: Path, tmp_path: Path) -> None:
    export = f"""
from pathlib import Path
from bioimageio.core import test_model
from bioimageio.spec import InvalidDescr, load_description
from nucleus_unet.exports.model import export_model
from nucleus_unet.model.bundle import load_bundle

(package, _) = export_model(load_bundle(), Path({str(tmp_path / "nuclei")!r}), "bioimageio")
loaded = load_description(package, perform_io_checks=True)
assert not isinstance(loaded, InvalidDescr), loaded.get_reason()
summary = test_model(package, weight_format="onnx")
assert summary.status == "passed", summary.format()
"""
    result = subprocess.run([sys.executable, "-c", OFFLINE + export], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_package_holds_what_people_and_programs_look_for(package: Path) -> None:
    with zipfile.ZipFile(package) as archive:
        names = set(archive.namelist())
        readme = archive.read("README.md").decode()
        shown, said = (np.load(archive.open(f"test_{name}puts.npy")) for name in ("in", "out"))
    assert names == {
        "rdf.yaml",
        "model.onnx",
        "test_inputs.npy",
        "test_outputs.npy",
        "sample_input.png",
        "cover.png",
        "README.md",
        "MODEL_CARD.md",
    }
    assert "nucleus_unet.inference.grouping.group" in readme
    assert "Apache-2.0" in readme
    engine = OpenVinoEngine(load_bundle(), "float32")
    np.testing.assert_allclose(said, engine.run(normalised(shown).transpose(0, 2, 3, 1)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("shape", "whole"), [((448, 464), False), ((272, 320), True)], ids=["in blocks", "whole"])
def test_what_runs_the_package_gets_the_numbers_of_the_engine(
    shape: tuple[int, int], whole: bool, package: Path
) -> None:
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import create_sample_for_model
    from bioimageio.spec import load_model_description

    model = load_model_description(package)
    image = np.random.default_rng(3).integers(0, 255, (1, 3, *shape)).astype(np.float32)
    expected = OpenVinoEngine(load_bundle(), "float32").run(normalised(image).transpose(0, 2, 3, 1))
    with create_prediction_pipeline(model) as pipeline:
        run_it = pipeline.predict_sample_without_blocking if whole else pipeline.predict_sample_with_blocking
        sample = run_it(create_sample_for_model(model, inputs={"image": image}))
    answer = sample.members["output"].data.to_numpy()
    assert answer.shape == expected.shape
    radius = receptive_radius(load_bundle().config.network)  # nearer to the edge, it shows the network mirrored pixels
    inner = (..., slice(radius, -radius), slice(radius, -radius))
    np.testing.assert_allclose(answer[inner], expected[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["", ".."])
def test_what_is_no_name_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="out: expected the name of a file, got"):
        export_model(load_bundle(), Path(name), "onnx")
