"""Model bundles: safe to load from strangers, and clear about what is wrong with them."""

import dataclasses
import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nucleus_unet.errors import BundleError
from nucleus_unet.model.bundle import (
    CARD,
    CONFIG,
    EMBEDDED,
    METRICS,
    WEIGHTS,
    Bundle,
    BundleConfig,
    load_bundle,
    save_bundle,
)
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.network import Network, network_of, weights_of
from nucleus_unet.model.quantisation import Quantisation
from nucleus_unet.training.post_training_quantisation import quantise
from safetensors.numpy import load_file, save


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Copy of the tiny bundle, to be damaged."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


def change(folder: Path, **values: Any) -> None:
    """Set top-level entries of a bundle's configuration; None deletes one."""
    config = json.loads((folder / CONFIG).read_bytes())
    kept = {name: value for name, value in config.items() if values.get(name, value) is value}
    config = kept | {name: value for name, value in values.items() if value is not None}
    (folder / CONFIG).write_text(json.dumps(config))


def zipped(folder: Path, target: Path, *, inside: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, inside + file.name)
    return target


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = Network(NetworkConfig(form="plain", width=4, depth=1)).eval()
    config = BundleConfig("mine", network.config, diameter=30.0, mpp=0.25)
    save_bundle(Bundle(config, weights_of(network), None, "", {"ap50": 0.75}, "# Mine\n"), tmp_path)
    bundle = load_bundle(tmp_path)
    assert bundle.config == config
    assert bundle.metrics == {"ap50": 0.75}
    assert bundle.card == (tmp_path / CARD).read_text() == "# Mine\n"
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        loaded = network_of(bundle)
        torch.testing.assert_close(loaded(image), network.half().float()(image), rtol=1e-4, atol=1e-4)
    assert not loaded.training


def test_weights_are_in_half_precision_on_disk_and_single_in_memory(tiny_bundle: Path) -> None:
    assert {tensor.dtype for tensor in load_file(tiny_bundle / WEIGHTS).values()} == {np.dtype(np.float16)}
    assert {each.dtype for each in load_bundle(tiny_bundle).weights.values()} == {np.dtype(np.float32)}


@pytest.fixture
def in_bytes(copy: Path) -> Path:
    """The tiny bundle with an int8 form."""
    bundle = load_bundle(copy)
    images = [np.random.default_rng(0).random((32, 32, 3), dtype=np.float32)]
    quantisation = quantise(bundle.config.network, bundle.weights, images)
    save_bundle(dataclasses.replace(bundle, quantisation=quantisation), copy)
    return copy


def test_ranges_of_the_int8_form_are_loaded_as_they_were_saved(in_bytes: Path) -> None:
    found = load_bundle(in_bytes).quantisation
    assert found is not None
    again = Quantisation.to_tensors(found)
    stored = load_file(in_bytes / WEIGHTS)
    assert again
    assert all(np.array_equal(stored[name], each) for name, each in again.items())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("int8.image.scale", None, r"int8\.image: expected the tensors scale, zero, unit"),
        ("int8.image.scale", np.float32(0), "scales and a unit of 1e-15 to 1e\\+15"),
        ("int8.image.scale", np.float32(np.nan), "expected finite numbers of type float32"),
        ("int8.image.scale", np.float64(1), "expected finite numbers of type float32"),
        ("int8.image.scale", np.ones(5, np.float32), r"unexpected shape \(5,\)"),
        ("int8.image.unit", np.float32(1e-45), "scales and a unit of"),
        ("int8.image.zero", np.ones(3, np.uint8), r"unexpected shape \(3,\)"),
        ("int8.image.colour", np.float32(1), "the network has no tensor with this name"),
        ("int8.nowhere.scale", np.float32(1), "the network has no tensor with this name"),
        ("int8.form.head.bias", np.ones(3, np.float32), r"unexpected shape \(3,\)"),
    ],
)
def test_an_int8_form_that_makes_no_sense_is_refused(in_bytes: Path, name: str, value: Any, message: str) -> None:
    tensors = load_file(in_bytes / WEIGHTS)
    if value is None:
        del tensors[name]
    else:
        tensors[name] = np.asarray(value)
    (in_bytes / WEIGHTS).write_bytes(save(tensors))
    with pytest.raises(BundleError, match=message):
        load_bundle(in_bytes)


def test_int8_is_no_default_without_an_int8_form(copy: Path) -> None:
    change(copy, int8_is_default=True)
    with pytest.raises(BundleError, match="int8_is_default is true, but"):
        load_bundle(copy)


@pytest.mark.parametrize("inside", ["", "tiny/"])
def test_a_zip_is_loaded_like_a_folder(tiny_bundle: Path, tmp_path: Path, inside: str) -> None:
    bundle = load_bundle(zipped(tiny_bundle, tmp_path / "tiny.zip", inside=inside))
    assert bundle.fingerprint == load_bundle(tiny_bundle).fingerprint
    assert bundle.metrics == {"ap50": 0.5}


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_model_of_the_package_has_a_name_unless_a_bundle_lies_there(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of images, perhaps
    assert load_bundle(name).config.name == load_bundle(Path(name)).config.name == name
    shutil.copytree(tiny_bundle, tmp_path / name, dirs_exist_ok=True)
    assert load_bundle(name).fingerprint == load_bundle(tiny_bundle).fingerprint
    assert load_bundle().config.name == EMBEDDED[0]


def test_the_fingerprint_follows_configuration_and_weights(tiny_bundle: Path, copy: Path) -> None:
    fingerprint = load_bundle(tiny_bundle).fingerprint
    (copy / METRICS).unlink()
    assert load_bundle(copy).fingerprint == fingerprint
    assert load_bundle(copy).metrics == {}
    change(copy, diameter=17.0)
    assert load_bundle(copy).fingerprint != fingerprint


@pytest.mark.parametrize("seen", [None, [1], {"training": 5}, {"training": "abc"}, {"choice": [[1]]}])
def test_what_a_model_has_seen_is_told_by_lists_of_digests(copy: Path, seen: object) -> None:
    (copy / METRICS).write_text(json.dumps({"seen": seen}))
    with pytest.raises(BundleError, match=r"expected lists of digests in seen\.training and seen\.choice"):
        load_bundle(copy)


def test_nothing_at_the_path_is_a_file_system_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model bundle at .*none"):
        load_bundle(tmp_path / "none")


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(BundleError, match="expected a folder or a zip archive"):
        load_bundle(tmp_path / "file")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_missing_part_is_named(copy: Path, tmp_path: Path, name: str, as_zip: bool) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"expected {CONFIG} and {WEIGHTS} inside, but .*{name}"):
        load_bundle(zipped(copy, tmp_path / "copy.zip") if as_zip else copy)


def test_a_damaged_zip_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = zipped(tiny_bundle, tmp_path / "tiny.zip")
    content = bytearray(path.read_bytes())
    place = content.index(b'"format"')
    content[place : place + 4] = b"XXXX"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="the zip archive is damaged"):
        load_bundle(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_weights_are_refused(copy: Path, share: float) -> None:
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match=str(copy)):
        load_bundle(copy)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_a_pickle_by_the_name_of_weights_is_never_executed(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = io.BytesIO()
    torch.save({"a": _Bomb()}, archive)
    for content in pickle.dumps(_Bomb()), archive.getvalue():
        (copy / WEIGHTS).write_bytes(content)
        with pytest.raises(BundleError):
            load_bundle(copy)
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", ["", "{", "text", "\ud800", "[" * 100_000], ids=range(5))
@pytest.mark.parametrize("name", [CONFIG, METRICS])
def test_what_is_no_json_is_refused(copy: Path, name: str, content: str) -> None:
    (copy / name).write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(BundleError, match=str(copy)):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 1}, "expected format 3, got 1"),
        ({"format": None}, "expected format 3, got None"),
        ({"name": None}, "missing: name"),
        ({"colour": 3}, "unknown: colour"),
        ({"diameter": 0}, "positive diameter"),
        ({"mpp": float("nan")}, "positive diameter and mpp"),
        ({"mpp": "wide"}, "wide"),
        ({"group": {"colour": 1}}, "colour"),
        ({"network": {"colour": 1}}, "decoder"),
        ({"network": []}, "network"),
        ({"network": {**NetworkConfig().to_json(), "colour": 1}}, "colour"),
        ({"network": {**NetworkConfig().to_json(), "width": 10**12}}, "whole numbers"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit_is_refused(copy: Path, values: dict[str, Any], message: str) -> None:
    change(copy, **values)
    with pytest.raises(BundleError, match=message):
        load_bundle(copy)


def test_weights_of_other_shapes_are_refused(copy: Path) -> None:
    change(copy, network=NetworkConfig(form="plain", width=16, depth=2).to_json())
    with pytest.raises(BundleError, match="expected floating-point numbers of shape"):
        load_bundle(copy)


def test_weights_of_other_names_are_refused(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    tensors["other"] = tensors.pop("form.head.bias")
    (copy / WEIGHTS).write_bytes(save(tensors))
    with pytest.raises(BundleError, match="other"):
        load_bundle(copy)


def test_a_huge_network_claims_no_memory_that_its_weights_do_not_fill(copy: Path) -> None:
    change(copy, network=NetworkConfig(form="plain", width=4096, depth=3).to_json())
    with pytest.raises(BundleError, match="missing"):
        load_bundle(copy)


def test_weights_that_are_no_numbers_are_refused(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    tensors["form.head.bias"][0] = np.nan
    (copy / WEIGHTS).write_bytes(save(tensors))
    with pytest.raises(BundleError, match=r"NaN or infinity in form\.head\.bias"):
        load_bundle(copy)


def test_weights_too_large_for_half_precision_are_not_saved(copy: Path) -> None:
    bundle, before = load_bundle(copy), (copy / WEIGHTS).read_bytes()
    bundle.weights["form.head.bias"][:] = 1e6
    with pytest.raises(BundleError, match=r"form\.head\.bias"):
        save_bundle(bundle, copy)
    assert (copy / WEIGHTS).read_bytes() == before


def test_weights_with_changed_bytes_are_refused(in_bytes: Path) -> None:
    rng = np.random.default_rng(0)
    whole = (in_bytes / WEIGHTS).read_bytes()
    header = int.from_bytes(whole[:8], "little") + 8
    for _ in range(300):
        content = bytearray(whole)
        # Half of them in the header, which says what the rest is.
        for place in rng.integers(0, header if rng.random() < 0.5 else len(content), rng.integers(1, 5)):
            content[place] ^= rng.integers(1, 256)
        (in_bytes / WEIGHTS).write_bytes(content)
        if content != whole:  # a byte may have been changed twice
            with pytest.raises(BundleError):
                load_bundle(in_bytes)


def test_one_flipped_bit_of_a_weight_is_noticed(copy: Path) -> None:
    content = bytearray((copy / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copy / WEIGHTS).write_bytes(content)
    with pytest.raises(
        BundleError, match=r"weights\.safetensors is damaged: config\.json gives weights_sha256 \w{64}, "
    ):
        load_bundle(copy)


def test_a_configuration_without_the_checksum_of_the_weights_is_refused(copy: Path) -> None:
    change(copy, weights_sha256=None)
    with pytest.raises(BundleError, match="config\\.json gives weights_sha256 None, the file has"):
        load_bundle(copy)
