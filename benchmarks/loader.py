"""Measure how fast training samples are drawn, alone and beside what the network takes for them.

Run as ``python benchmarks/loader.py DATA... [--workers 0 1 2] [--samples 800] [--json OUT]``. The loader is that of
``nucleus-unet train``: samples of 256 x 256 pixels, cut, dyed anew and changed as in training. In turns it is run with
each number of worker processes and nobody behind it, and the network trains on one batch again and again: a device is
kept busy where the loader draws more samples a second than the network takes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from _machine import cpu, installed_version
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.inference.devices import autocast, choose_device, choose_precision
from nucleus_unet.model.network import Network
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.losses import losses
from nucleus_unet.training.sample_stream import SampleStream, collate, load_batches
from nucleus_unet.training.trainer import TrainConfig

_CONFIG = TrainConfig()
_WARM_UP = 4
# What each worker of the loader draws ahead.
_AHEAD = 4


def main() -> None:
    """Measure in turns, and say what came out."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    examples = [example for source in options.data for example in read_examples(source)[0]]
    stream = SampleStream(examples, AugmentConfig(), seed=0, length=1_000_000)
    device = choose_device(options.device)
    rows: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for workers in options.workers:
            rows.setdefault(f"loader, {workers} workers", []).append(
                _loader_rate(stream, workers, options.samples, device)
            )
        rows.setdefault("network, one batch again and again", []).append(_network_rate(stream, options.samples, device))
    print(f"{cpu()}, {os.cpu_count()} cores; network on {device}; load {os.getloadavg()[0]:.1f}")
    print("| what | samples a second: median | least | most |\n|---|---|---|---|")
    for name, rates in rows.items():
        print(f"| {name} | {statistics.median(rates):.1f} | {min(rates):.1f} | {max(rates):.1f} |")
    if options.json:
        run_state: dict[str, Any] = {"cpu": cpu(), "cores": os.cpu_count(), "device": str(device), "rows": rows}
        run_state["versions"] = {name: installed_version(name) for name in ("nucleus-unet", "torch", "numpy")}
        options.json.write_text(json.dumps(run_state, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="training sets, as nucleus-unet train reads them")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=sorted({0, 1, os.cpu_count() or 1}), help="(0, 1, one a core)"
    )
    parser.add_argument("--samples", type=int, default=800, help="drawn in each turn, a multiple of 8 (800)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everybody has its turn (3)")
    parser.add_argument("--device", default="auto", help="of the network (auto)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    return parser.parse_args()


def _loader_rate(stream: SampleStream, workers: int, samples: int, device: torch.device) -> float:
    whole_batches = slice(0, _CONFIG.batch_size)
    batches = iter(
        load_batches(
            stream, start=0, batch_size=_CONFIG.batch_size, share=whole_batches, workers=workers, device=device
        )
    )
    # What is drawn ahead while workers start would be counted without having been waited for.
    for _ in range(_AHEAD * max(workers, 1)):
        next(batches)
    started = time.monotonic()
    steps = max(samples // _CONFIG.batch_size, _AHEAD * workers)
    for _ in range(steps):
        next(batches)
    return steps * _CONFIG.batch_size / (time.monotonic() - started)


def _network_rate(stream: SampleStream, samples: int, device: torch.device) -> float:
    torch.manual_seed(0)
    network = Network(_CONFIG.network).to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)
    batch = collate([stream[number] for number in range(_CONFIG.batch_size)]).to(device)
    precision = choose_precision(device)

    def step() -> None:
        with autocast(device, precision):
            output = network(batch.image)
        optimiser.zero_grad(set_to_none=True)
        losses(output, batch).total().backward()
        optimiser.step()

    for _ in range(_WARM_UP):
        step()
    _wait(device)
    started = time.monotonic()
    steps = max(1, samples // _CONFIG.batch_size // 4)
    for _ in range(steps):
        step()
    _wait(device)
    return steps * _CONFIG.batch_size / (time.monotonic() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
