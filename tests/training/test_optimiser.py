"""Muon beside AdamW."""

from __future__ import annotations

import pytest
import torch
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.network import Network
from nucleus_unet.training.optimiser import make_optimiser, orthogonalise


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (24, 4, 1, 1), (16, 16), (5, 40)])
def test_an_update_points_as_far_in_every_direction(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    update = orthogonalise(torch.randn(shape))
    assert update.shape == shape
    matrix = update.flatten(1)
    values = torch.linalg.svdvals(matrix) / (0.2 * max(matrix.shape) ** 0.5)
    assert (values > 0.3).all()
    assert (values < 1.4).all()


def test_an_update_does_not_depend_on_the_size_of_the_gradient() -> None:
    gradient = torch.randn(6, 20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalise(gradient), orthogonalise(1000 * gradient), rtol=1e-3, atol=1e-4)


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert not orthogonalise(torch.zeros(4, 9)).any()


def test_an_update_keeps_the_directions_of_the_gradient() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(6, 20)
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    inner = left.T @ orthogonalise(gradient) @ right.T
    off_diagonal = inner - torch.diag(inner.diagonal())
    assert off_diagonal.abs().max() < 1e-3 * inner.diagonal().min()


def network() -> Network:
    torch.manual_seed(0)
    return Network(NetworkConfig())


def test_filters_of_single_channels_and_the_first_and_last_layer_are_left_to_adamw() -> None:
    tested = network()
    optimiser = make_optimiser(tested, learning_rate=1e-3, weight_decay=0.01, pretrained=True)
    names = {parameter: name for name, parameter in tested.named_parameters()}
    orthogonal = {names[p] for group in optimiser.param_groups if group["orthogonal"] for p in group["params"]}
    assert {"form.up8.mix.0.0.weight", "form.blocks.1.expand.0.weight"} <= orthogonal
    assert not {"form.stem.0.weight", "form.head.weight", "form.blocks.1.depthwise.0.weight"} & orthogonal
    assert not any(name.endswith("bias") for name in orthogonal)


def test_every_parameter_is_moved_by_exactly_one_rule() -> None:
    tested = network()
    optimiser = make_optimiser(tested, learning_rate=1e-2, weight_decay=0.01, pretrained=True)
    grouped = [p for group in optimiser.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(tested.parameters()))
    before = [p.detach().clone() for p in grouped]
    tested.train()(torch.rand(1, 3, 64, 64)).square().sum().backward()
    optimiser.step()
    assert all(not torch.equal(p, b) for p, b in zip(grouped, before, strict=True))


def test_a_pretrained_encoder_moves_half_as_far() -> None:
    groups = make_optimiser(network(), learning_rate=1e-2, weight_decay=0.01, pretrained=True).param_groups
    assert {group["share"] for group in groups} == {0.5, 1.0}
    groups = make_optimiser(network(), learning_rate=1e-2, weight_decay=0.01, pretrained=False).param_groups
    assert {group["share"] for group in groups} == {1.0}
