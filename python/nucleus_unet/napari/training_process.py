"""The process that `nucleus_unet.napari.fine_tuning` starts: ``python -m nucleus_unet.napari.training_process``.

It reads a `FineTuning` from its standard input, and writes a JSON object a line: steps, and at the end the metrics or
the sentence of an error. It ends when its standard input closes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from typing import Any

from nucleus_unet.errors import NucleusError
from nucleus_unet.napari.fine_tuning import FineTuning


def main() -> int:
    """Fine-tune a model, and return the exit code."""
    run = FineTuning.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _send(metrics=_train(run))
    except (NucleusError, OSError) as error:
        _send(error=str(error))
        return 1
    return 0


def _train(run: FineTuning) -> dict[str, Any]:
    from nucleus_unet.data.dataset import read_examples
    from nucleus_unet.model.bundle import load_bundle

    _send(step="reading images", done=0, total=0)
    examples, _ = read_examples(run.data)
    origin = load_bundle(run.origin)
    from nucleus_unet.training.fine_tuning import fine_tuning_config  # these import torch, which takes seconds
    from nucleus_unet.training.pipeline import train_bundle

    config = fine_tuning_config(origin)
    if run.samples is not None:
        samples = max(config.batch_size, run.samples - run.samples % config.batch_size)
        config = dataclasses.replace(config, samples=samples, warmup=min(config.warmup, samples // 2))
    _send(step="evaluating the model before training", done=0, total=config.samples)

    def report(done: int) -> None:
        if done < config.samples:
            _send(step="training", done=done, total=config.samples)
        else:
            _send(step="calibrating and evaluating", done=0, total=0)

    return train_bundle(config, examples, run.out, origin=origin, device=run.device, workers=0, on_step=report)


def _send(**message: object) -> None:
    # One write: lines of libraries, from other threads, do not come in between.
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
