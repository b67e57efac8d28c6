"""Depthwise convolutions with fast gradients on CPUs.

In bfloat16, oneDNN needs twenty times as long for the gradients of strided and of 5 x 5 depthwise convolutions as for
the convolutions themselves, which is a third of a training step of the lite0 network. Here the input gradient is one
convolution of the dilated output gradient, and the weight gradient is computed in float32.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight


class DepthwiseConv2d(nn.Conv2d):
    """Depthwise `torch.nn.Conv2d` with an odd kernel and padding of half the kernel.

    Parameters
    ----------
    channels
        Number of channels of input and output.
    kernel
        Height and width of the filters in pixels, odd.
    stride
        Distance in pixels between filter positions.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Map (N, channels, H, W) to (N, channels, H / stride, W / stride)."""
        slow = input.device.type == "cpu" and (self.stride[0] > 1 or self.kernel_size[0] > 3)
        if not (slow and torch.is_grad_enabled()):
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        return cast(Tensor, _Depthwise.apply(input.to(dtype), self.weight, self.stride[0]))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride = stride
        return _convolve(features, weight.to(features.dtype), stride)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        gradient, stride = gradients[0], ctx.stride
        features, weight = ctx.saved_tensors
        spread = gradient
        if stride > 1:
            spread = torch.zeros_like(features)
            spread[..., ::stride, ::stride] = gradient
        features_gradient = _convolve(spread, weight.to(features.dtype).flip(2, 3), 1)
        kernel = weight.shape[-1]
        if kernel > 3:
            features, gradient = features.float(), gradient.float()
        padding, groups = kernel // 2, features.shape[1]
        weight_gradient = conv2d_weight(  # type: ignore[no-untyped-call]
            features, weight.shape, gradient, stride, padding, groups=groups
        )
        return features_gradient, weight_gradient.to(weight.dtype), None


def _convolve(features: Tensor, weight: Tensor, stride: int) -> Tensor:
    return functional.conv2d(features, weight, None, stride, weight.shape[-1] // 2, 1, features.shape[1])
