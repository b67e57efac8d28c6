"""Depthwise convolutions whose gradients are computed another way than torch's."""

from __future__ import annotations

import pytest
import torch
from nucleus_unet.model.depthwise import DepthwiseConv2d
from torch import Tensor
from torch.nn import functional

GEOMETRIES = [(kernel, stride, side) for kernel in (3, 5) for stride in (1, 2) for side in (8, 9)]


def gradients(output: Tensor, features: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    direction = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    return torch.autograd.grad(output, [features, weight], direction.to(output.dtype))


@pytest.mark.parametrize(("kernel", "stride", "side"), GEOMETRIES)
def test_output_and_gradients_equal_those_of_torch(kernel: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, kernel, stride)
    features = torch.randn(2, 6, side, side + 3, requires_grad=True)
    reference = functional.conv2d(features, layer.weight, None, stride, kernel // 2, 1, 6)
    output = layer(features)
    torch.testing.assert_close(output, reference)
    for own, expected in zip(
        gradients(output, features, layer.weight), gradients(reference, features, layer.weight), strict=True
    ):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize(("kernel", "stride", "side"), GEOMETRIES)
def test_under_autocast_the_gradients_are_near_those_in_float32(kernel: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv2d(6, kernel, stride)
    features = torch.randn(2, 6, side, side, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(features)
    assert output.dtype == torch.bfloat16
    reference = functional.conv2d(features, layer.weight, None, stride, kernel // 2, 1, 6)
    of_features, of_weight = gradients(output, features, layer.weight)
    expected_features, expected_weight = gradients(reference, features, layer.weight)
    assert of_features.dtype == of_weight.dtype == torch.float32
    torch.testing.assert_close(of_features, expected_features, atol=0.02, rtol=0.02)
    torch.testing.assert_close(of_weight, expected_weight, atol=0.05, rtol=0.02)


def test_only_what_needs_a_gradient_gets_one() -> None:
    layer = DepthwiseConv2d(4, 5, 2)
    layer(torch.randn(1, 4, 8, 8)).sum().backward()
    assert layer.weight.grad is not None
