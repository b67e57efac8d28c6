"""Check and time everything that runs on a GPU, in one go: ``python benchmarks/gpu.py --data SET [--json OUT]``.

On the GPU, beside the processor: ``predict`` and ``predict_slide`` of one picture; how many nuclei are the same, to the
pixel and at an IoU of 0.9; 200 steps of training; a study of two short trials. Needs the extras ``train``, ``tune`` and
``slides``. ``--device cpu`` tries the script itself where there is no GPU. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tifffile
import torch
from _machine import cpu, installed_version, peak_memory
from _slides.picture import write_mosaic
from nucleus_unet import Segmenter
from nucleus_unet.data.dataset import Example, read_examples
from nucleus_unet.masks import overlap_table
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.training.augmentation import AugmentConfig
from nucleus_unet.training.trainer import TrainConfig, train
from nucleus_unet.tuning import Space, tune
from nucleus_unet.tuning.search_space import Range
from numpy.typing import NDArray

T = TypeVar("T")
_STEPS, _BATCH = 200, 8


def main() -> None:
    """Check, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled set to train on")
    parser.add_argument("--json", type=Path, metavar="OUT", help="file for all figures")
    parser.add_argument("--size", type=int, default=8192, help="side of the picture, a multiple of 32 (8192)")
    parser.add_argument("--steps", type=int, default=_STEPS, help=f"of training ({_STEPS})")
    parser.add_argument("--device", default="cuda", help="cuda, mps, or cpu to try the script (cuda)")
    options = parser.parse_args()
    examples = [example for path in options.data for example in read_examples(path)[0]]
    results = {
        "cpu": cpu(),
        "gpu": torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device,
        "platform": platform.platform(),
        "versions": {name: installed_version(name) for name in ("nucleus-unet", "torch", "openvino", "optuna")},
        **_inference(options.device, options.size),
        **_training(options.device, examples, options.steps),
        "host_memory_peak_mb": peak_memory() / 1e6,
    }
    text = json.dumps(results, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


def _inference(device: str, side: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mosaic(folder / "picture.tif", side)
        picture = tifffile.imread(folder / "picture.tif")
        part = picture[:2048, :2048]
        reference = Segmenter.from_pretrained(device="cpu", precision="float32").predict(part).labels
        for precision in ("float32", "bfloat16") if device != "cpu" else ("float32",):
            segmenter = Segmenter.from_pretrained(device=device, precision=precision)
            segmenter.predict(part)  # the first call also pays for what is set up once
            _, seconds = _timed(lambda: segmenter.predict(picture, batch_size=1))  # noqa: B023
            found[f"predict_{precision}_mpixel_per_s"] = side * side / seconds / 1e6
            found[f"same_as_cpu_{precision}"] = _shares(segmenter.predict(part).labels, reference)
            out = folder / f"slide-{precision}"
            result, seconds = _timed(lambda: segmenter.predict_slide(folder / "picture.tif", out=out))  # noqa: B023
            found[f"slide_{precision}_mpixel_per_s"] = side * side / seconds / 1e6
            found[f"slide_{precision}_nuclei"] = len(result)
    if device.startswith("cuda"):
        found["gpu_memory_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return found


def _shares(found: NDArray[np.uint32], reference: NDArray[np.uint32]) -> dict[str, float]:
    """Return the share of the reference's nuclei that were found to the pixel, and at an IoU of 0.9."""
    table = overlap_table(found, reference)
    union = table.areas_a[table.index_a] + table.areas_b[table.index_b] - table.pixels
    iou = table.pixels / union
    count = max(len(table.labels_b), 1)
    return {
        "nuclei": count,
        "to_the_pixel": float((iou == 1).sum() / count),
        "at_iou_0.9": float((iou > 0.9).sum() / count),
    }


def _training(device: str, examples: list[Example], steps: int) -> dict[str, Any]:
    config = TrainConfig(network=NetworkConfig(), samples=steps * _BATCH, batch_size=_BATCH, warmup=80)
    with tempfile.TemporaryDirectory() as name:
        _, seconds = _timed(lambda: train(config, examples, Path(name) / "run", device=device, workers=4))
        short = TrainConfig(
            network=NetworkConfig(form="plain", width=8, depth=2),
            augment=AugmentConfig(crop=128),
            pretrained=False,
            samples=160,
            validate_every=80,
            checkpoint_every=80,
        )
        space = Space({"learning_rate": Range(1e-3, 1e-2, log=True)})
        _, of_study = _timed(
            lambda: tune(examples, Path(name) / "study", space=space, base=short, trials=2, folds=3, device=device)
        )
    return {"training_samples_per_s": config.samples / seconds, "study_of_two_trials_s": of_study}


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
