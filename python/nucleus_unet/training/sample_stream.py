"""The stream of training samples. Sample number ``k`` is the same in every process and in a resumed run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.training.augmentation import AugmentConfig, Sample, draw_sample
from nucleus_unet.training.losses import Batch
from nucleus_unet.training.source_image import SourceImage

# A category is drawn with a probability proportional to this power of its number of images. With 0, a category of 16
# images would be drawn as often as one of 400. With 1, it would hardly be drawn.
_CATEGORY_POWER = 0.5


class SampleStream(Dataset[Sample]):
    """Training samples by number.

    Parameters
    ----------
    examples
        The training images.
    config
        Configuration of the augmentation.
    seed
        Seed of the run.
    length
        Number of samples. It does not change the samples themselves.
    final_phase_from
        Number of the first sample with the augmentation of `AugmentConfig.final_phase`. By default there is none.

    Raises
    ------
    DataError
        There are no examples.
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
        self._config, self._final_config, self._seed, self._length = config, config.final_phase(), seed, length
        self._final_phase_from = length if final_phase_from is None else final_phase_from
        counts = Counter(example.category for example in examples)
        shares = np.array([count**_CATEGORY_POWER for _, count in sorted(counts.items())])
        self._shares = shares / shares.sum()
        self._categories = [
            [
                SourceImage(example.image, example.labels, example.valid)
                for example in examples
                if example.category == category
            ]
            for category in sorted(counts)
        ]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> Sample:
        rng = np.random.default_rng([self._seed, number])
        originals = self._categories[int(rng.choice(len(self._categories), p=self._shares))]
        config = self._config if number < self._final_phase_from else self._final_config
        return draw_sample(originals[int(rng.integers(len(originals)))], config, rng)


def collate(samples: Sequence[Sample]) -> Batch:
    """Collate samples into a batch."""

    def tensor(arrays: Iterable[np.ndarray]) -> Tensor:
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
    """Load this process's slice of each batch, from sample ``start`` to the end.

    Parameters
    ----------
    stream
        The samples.
    start
        Number of the first sample.
    batch_size
        Samples per batch, over all processes.
    share
        Slice of a batch that this process computes.
    workers
        Number of processes that draw samples. With 0, this process draws them.
    device
        Device of the network.
    """
    numbers = np.arange(start, len(stream)).reshape(-1, batch_size)[:, share]
    return DataLoader(
        stream,  # type: ignore[arg-type]
        batch_size=numbers.shape[1],
        sampler=numbers.ravel().tolist(),
        num_workers=workers,
        collate_fn=collate,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if workers else None,
    )
