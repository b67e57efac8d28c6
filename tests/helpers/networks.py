"""Networks of chosen weights, and their bundles and engines."""

from __future__ import annotations

import torch
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.network import Network, PlainUNet, weights_of
from nucleus_unet.model.precision import Precision
from nucleus_unet.model.quantisation import Quantisation


def random_network(config: NetworkConfig) -> Network:
    """An untrained network whose every answer uses the whole range of bytes."""
    torch.manual_seed(3)
    network = Network(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 2.0)
            torch.nn.init.uniform_(module.bias, -0.5, 1.0)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    torch.nn.init.normal_(network.form.head.weight, std=1.0)
    return network


def bundle_of(network: Network, quantisation: Quantisation | None = None) -> Bundle:
    """A network as a bundle in memory."""
    return Bundle(BundleConfig("test", network.config), weights_of(network), quantisation, fingerprint="", metrics={})


def engine_of(network: Network, precision: Precision = "float32") -> OpenVinoEngine:
    """A network on the CPU."""
    return OpenVinoEngine(bundle_of(network), precision)


def brightness_network(config: NetworkConfig) -> Network:
    """Set a plain network's weights by hand: foreground follows brightness, heat follows blurred brightness.

    Channels 0 to 3 of the first level carry the four pixels that the stem folds, channel 4 their blurred mean; the
    others stay random, see the whole receptive field, and move the offsets a little.
    """
    torch.manual_seed(0)
    network = Network(config).eval()
    form = network.form
    assert isinstance(form, PlainUNet)
    blur = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    first, second, third, fourth = (block[0] for block in (*form.down[0], *form.up[-1].mix))
    with torch.no_grad():
        for layer, skipped in (first, None), (second, 0), (third, 2 * config.width), (fourth, 0):
            layer.weight[:5] = 0
            for channel in range(4):
                if skipped is None:
                    layer.weight[channel, channel::4, 1, 1] = 1 / 3
                else:
                    layer.weight[channel, skipped + channel, 1, 1] = 1
            if skipped is None:
                layer.weight[4] = blur / 12
            else:
                layer.weight[4, skipped + 4] = blur
        form.down[0][0][1].bias[:5] = 2.0  # keeps dark pixels above the ReLU
        head = form.head
        head.weight[:8] = 0
        head.weight[8:, :5] = 0
        for pixel in range(4):
            head.weight[pixel, pixel] = 6.0
            head.weight[4 + pixel, 4] = 3.0
        head.weight[8:] *= 0.3
        middle = 2.0 + (0.5 - 0.45) / 0.225
        head.bias[:4] = -6.0 * middle
        head.bias[4:8] = -3.0 * middle
        head.bias[8:] = 0
    return network
