"""Engines: the same function as the network that was trained, and the same bits however it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import run_script
from helpers.networks import bundle_of, random_network
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference import openvino as openvino_engine
from nucleus_unet.inference.ensembles import build_predictor
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.inference.tiles import round_up
from nucleus_unet.inference.torch import TorchEngine
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.network import network_of
from nucleus_unet.model.precision import Precision
from nucleus_unet.training.post_training_quantisation import quantise
from numpy.typing import NDArray

CONFIGS = [
    NetworkConfig(decoder=(16, 8, 8, 4)),
    NetworkConfig(form="plain", width=8, depth=2, stem_stride=2),
    NetworkConfig(form="plain", width=4, depth=3, stem_stride=1),
]
BFLOAT16 = pytest.mark.skipif(
    "BF16" not in openvino_engine.core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
    reason="this CPU does not compute in bfloat16",
)
PRECISIONS = ["int8", "float32", pytest.param("bfloat16", marks=BFLOAT16)]


def images(count: int, height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).random((count, height, width, 3), dtype=np.float32)


def made_bundle(config: NetworkConfig) -> Bundle:
    """A lively network, with an int8 form."""
    network = random_network(config)
    bundle = bundle_of(network)
    return bundle_of(network, quantise(config, bundle.weights, list(images(2, 64, 64))))


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return made_bundle(request.param)


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda count: monkeypatch.setenv("OMP_NUM_THREADS", str(count))


def test_float32_is_what_the_trained_network_says(bundle: Bundle) -> None:
    shown = images(2, 320, 96)
    with torch.inference_mode():
        expected = network_of(bundle)(torch.from_numpy(shown).permute(0, 3, 1, 2)).numpy()
    found = OpenVinoEngine(bundle, "float32").run(shown)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize("precision", ["int8", pytest.param("bfloat16", marks=BFLOAT16)])
def test_fewer_bits_say_nearly_the_same(precision: Precision) -> None:
    embedded = load_bundle()
    # As a picture is: flat ground and a few smooth discs. Noise is nothing that ranges were measured on.
    rows, columns = np.ogrid[:128, :160]
    picture = sum(np.clip(11 - np.hypot(rows - r, columns - c), 0, 1) for r, c in ((25, 25), (30, 80), (90, 110)))
    shown = np.repeat(np.asarray(picture, np.float32)[None, ..., None], 3, axis=-1)
    exact, found = (OpenVinoEngine(embedded, each).run(shown)[0, 0] for each in ("float32", precision))
    assert ((exact > 0) == (found > 0)).mean() > 0.995


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_part_of_an_image_with_enough_around_it_is_the_part_of_the_whole(
    bundle: Bundle, precision: Precision
) -> None:
    engine = OpenVinoEngine(bundle, precision)
    shown = images(1, 400, 608)
    top, left, around = 144, 208, round_up(engine.receptive_radius, 16)
    part = engine.run(shown[:, top - around : top + 16 + around, left - around : left + 64 + around])
    whole = engine.run(shown)
    np.testing.assert_array_equal(
        part[:, :, around:-around, around:-around], whole[:, :, top : top + 16, left : left + 64]
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_bit_depends_on_threads_streams_or_batches(bundle: Bundle, precision: Precision, threads: Any) -> None:
    shown = images(2, 96, 352)
    threads(1)
    expected = OpenVinoEngine(bundle, precision).run(shown)
    for count, streams in (2, 1), (2, 2), (3, 1), (8, 4):
        threads(count)
        engine = OpenVinoEngine(bundle, precision, streams=streams)
        np.testing.assert_array_equal(engine.run(shown), expected)
        np.testing.assert_array_equal(engine.run(shown[1:]), expected[1:])


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_processors_with_other_instructions_say_the_same_to_the_last_bit(precision: Precision) -> None:
    """Each is imitated: OpenVINO leaves out the instructions that it would not have, among those that there are."""
    code = f"""
import hashlib, numpy as np
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.model.bundle import load_bundle
shown = np.random.default_rng(5).random((1, 320, 400, 3), dtype=np.float32)
engine = OpenVinoEngine(load_bundle(), {precision!r})
digests = {{hashlib.sha256(each.run(shown).tobytes()).hexdigest() for each in (engine, engine.parallel())}}
print(digests)
"""

    def digest(instructions: str) -> str:
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout

    sets = ("AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", "DEFAULT")
    (found,) = {digest(each) for each in sets}
    assert "," not in found  # a set of one


def test_many_threads_may_run_one_engine_at_once(bundle: Bundle) -> None:
    engine, shown = OpenVinoEngine(bundle, "float32"), images(8, 64, 96)
    expected = [engine.run(each[None]) for each in shown]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: engine.run(each[None]), shown))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_opens_a_model_though_its_parent_closed_one() -> None:
    code = """
import multiprocessing, numpy as np
from nucleus_unet import Segmenter
def count(): return len(Segmenter.from_pretrained().predict(np.eye(64, dtype=np.float32)))
count()
child = multiprocessing.get_context("fork").Process(target=count)
child.start()
child.join(60)
assert child.exitcode == 0, child.exitcode
"""
    run_script(code)


def test_memory_is_not_given_back_while_another_thread_needs_it(bundle: Bundle) -> None:
    engine, shown = OpenVinoEngine(bundle, "float32"), images(12, 160, 160)

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        output = engine.run(image[None])
        engine.release()
        return output

    expected = [engine.run(each[None]) for each in shown]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(run, shown), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_memory_that_was_given_back_is_taken_again(bundle: Bundle) -> None:
    engine, shown = OpenVinoEngine(bundle, "float32"), images(1, 64, 96)
    expected = engine.run(shown)
    engine.release()
    np.testing.assert_array_equal(engine.run(shown), expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_engine_for_many_tiles_of_one_size_says_the_same_to_the_last_bit(
    bundle: Bundle, precision: Precision, threads: Any
) -> None:
    threads(2)
    engine = OpenVinoEngine(bundle, precision)
    tiles = engine.parallel()
    for height, width in (96, 160), (160, 96), (256, 256):
        tiles.prepare((height, width))
        for shown in images(3, height, width):
            np.testing.assert_array_equal(tiles.run(shown[None]), engine.run(shown[None]))


def test_several_images_in_one_call_of_an_engine_for_tiles_keep_their_own_outputs(bundle: Bundle) -> None:
    engine, shown = OpenVinoEngine(bundle, "float32"), images(3, 96, 96)
    np.testing.assert_array_equal(engine.parallel().run(shown), engine.run(shown))


def test_threads_that_share_an_engine_for_tiles_do_not_overwrite_what_others_were_given(
    bundle: Bundle, threads: Any
) -> None:
    threads(2)
    engine, shown = OpenVinoEngine(bundle, "float32").parallel(), images(12, 96, 96)
    expected = [engine.run(each[None]).copy() for each in shown]

    def difference(number: int) -> float:
        output = engine.run(shown[number][None])
        engine.release()
        return float(abs(output - expected[number]).max())

    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(difference, range(12)))


def test_views_of_an_engine_that_overwrites_its_output_are_those_of_one_that_does_not(threads: Any) -> None:
    threads(2)
    plan = SimpleNamespace(dab=(0.1, 0.9), augment=True)
    engine, shown = OpenVinoEngine(made_bundle(CONFIGS[0]), "float32"), images(1, 96, 96)
    expected = build_predictor(engine, plan).run(shown)
    np.testing.assert_array_equal(build_predictor(engine.parallel(), plan).run(shown), expected)


def test_a_model_with_an_int8_form_that_is_not_its_default_computes_in_floating_point() -> None:
    bundle = made_bundle(CONFIGS[1])
    assert OpenVinoEngine(bundle, "auto").identity.precision in ("bfloat16", "float32")
    assert OpenVinoEngine(bundle, "int8").identity.precision == "int8"
    assert OpenVinoEngine(load_bundle(), "auto").identity.precision == "int8"


def test_int8_without_an_int8_form_is_refused() -> None:
    with pytest.raises(SettingsError, match="the model 'test' has no int8 form; choose 'auto'"):
        OpenVinoEngine(bundle_of(random_network(CONFIGS[1])), "int8")


def test_bfloat16_is_refused_where_the_processor_does_not_compute_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    core = SimpleNamespace(get_property=lambda *_: ["FP32", "INT8"])
    monkeypatch.setattr(openvino_engine, "core", lambda: core)
    with pytest.raises(SettingsError, match="this processor does not compute in bfloat16"):
        OpenVinoEngine(load_bundle(), "bfloat16")


@pytest.mark.parametrize("precision", ["float16", "", None, 8])
def test_another_precision_is_refused(precision: Any) -> None:
    with pytest.raises(SettingsError, match="precision: expected 'auto', 'int8', 'bfloat16' or 'float32', got"):
        open_engine(load_bundle(), device="cpu", precision=precision)


def test_what_is_exact_names_neither_threads_nor_processor_in_its_identity() -> None:
    for precision in ("int8", "float32"):
        identity = OpenVinoEngine(load_bundle(), precision).identity
        assert (identity.exact, identity.threads, identity.hardware) == (True, None, "x86-64")
        assert identity.engine.startswith("openvino 20")


def test_elsewhere_than_on_x86_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    identity = OpenVinoEngine(load_bundle(), "float32").identity
    assert not identity.exact
    assert identity.threads is not None
    assert identity.hardware.startswith("aarch64, ")


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_torch_runs_the_same_network(config: NetworkConfig) -> None:
    bundle, shown = made_bundle(config), images(2, 96, 64)
    engine = TorchEngine(bundle, "cpu", "float32")
    expected = OpenVinoEngine(bundle, "float32").run(shown)
    np.testing.assert_allclose(engine.run(shown), expected, rtol=1e-3, atol=1e-3 * float(expected.std()))
    assert not engine.identity.exact


def test_torch_runs_the_network_where_there_is_no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nucleus_unet.inference.devices.openvino_is_installed", lambda: False)
    assert open_engine(load_bundle(), device="cpu", precision="float32").identity.engine.startswith("torch ")


@pytest.mark.parametrize(("memory", "side"), [(80 * 10**9, 2560), (8 * 10**9, 1824), (10**9, 640)])
def test_a_tile_on_a_gpu_suits_its_memory(memory: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(total_memory=memory)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: facts)
    engine = TorchEngine(bundle_of(random_network(CONFIGS[1])), "cpu", "float32")
    engine._device = torch.device("cuda")
    assert engine.default_tile == side


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_finds_the_nuclei_that_the_processor_finds() -> None:
    from nucleus_unet import Segmenter

    rows, columns = np.ogrid[:300, :400]
    image = np.where((rows % 50 - 25) ** 2 + (columns % 50 - 25) ** 2 < 150, 200, 20).astype(np.uint8)
    labels = [Segmenter.from_pretrained(device=device).predict(image).labels for device in ("cpu", "cuda")]
    assert labels[0].max() == labels[1].max() == 48
    assert ((labels[0] > 0) == (labels[1] > 0)).mean() > 0.99
