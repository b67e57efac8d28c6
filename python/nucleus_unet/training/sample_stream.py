"""The endless stream of training samples: number ``k`` is the same whoever draws it, and whenever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.training.augmentation import AugmentConfig, Sample, SourceImage, draw_sample
from nucleus_unet.training.losses import Batch

# Kinds are drawn in proportion to this power of their number of images: 0 would be evenly over kinds, which shows a
# kind of 16 images as often as one of 400; 1 would drown it.
_KIND_POWER = 0.5


class SampleStream(Dataset[Sample]):
    """Training samples by number.

    Parameters
    ----------
    examples
        The training images.
    config
        How samples are cut and changed.
    seed
        Of the run.
    length
        Number of samples; more only makes the stream longer, not other.
    final_phase_from
        From this number on samples are drawn as `AugmentConfig.final_phase` says; by default none is.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: AugmentConfig,
        *,
        seed: int,
        length: int,
        final_phase_from: int | None = None,
    ) -> None:
        if not examples:
            raise DataError("no image to train on")
        self._config, self._calmed, self._seed, self._length = config, config.final_phase(), seed, length
        self._calm_from = length if final_phase_from is None else final_phase_from
        counts = Counter(example.kind for example in examples)
        shares = np.array([count**_KIND_POWER for _, count in sorted(counts.items())])
        self._shares = shares / shares.sum()
        self._kinds = [
            [SourceImage(example.image, example.labels) for example in examples if example.kind == kind]
            for kind in sorted(counts)
        ]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self._seed, number])
        originals = self._kinds[int(rng.choice(len(self._kinds), p=self._shares))]
        config = self._config if number < self._calm_from else self._calmed
        return draw_sample(originals[int(rng.integers(len(originals)))], config, rng)


def stack(samples: Sequence[Sample]) -> Batch:
    """Lay samples side by side."""

    def tensor(arrays: Iterator[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(array, np.float32) for array in arrays]))

    return Batch(
        image=tensor(sample.image for sample in samples),
        foreground=tensor(sample.targets.foreground for sample in samples),
        heat=tensor(sample.targets.heat for sample in samples),
        offset=tensor(sample.targets.offset for sample in samples),
        diameter=tensor(sample.targets.diameter for sample in samples),
        valid=tensor(sample.valid for sample in samples),
    )


def load_batches(
    stream: SampleStream, *, start: int, batch_size: int, share: slice, workers: int, device: torch.device
) -> DataLoader[Batch]:
    """Draw a share of each batch, from sample ``start`` to the end, ``workers`` processes ahead of the network."""
    numbers = np.arange(start, len(stream)).reshape(-1, batch_size)[:, share]
    return DataLoader(
        stream,  # type: ignore[arg-type]
        batch_size=numbers.shape[1],
        sampler=numbers.ravel().tolist(),
        num_workers=workers,
        collate_fn=stack,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
