"""Find the nuclei of an image: the one class most people need."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.planning import check_for_model
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.segment import segment
from nucleus_unet.io.source import is_source, open_image
from nucleus_unet.measures.channels import channel_planes, check_measurable
from nucleus_unet.measures.image import measure_image
from nucleus_unet.measures.settings import resolve_settings
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.model.precision import Precision
from nucleus_unet.options import (
    ImageOptions,
    PredictKeywords,
    PredictOptions,
    SlideKeywords,
    SlideOptions,
    parse_options,
    takes_options,
)
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation

if TYPE_CHECKING:
    from distributed import Client

    from nucleus_unet.io.whole import ArrayLike
    from nucleus_unet.slides.result import SlideResult

logger = logging.getLogger(__name__)

Image = NDArray[Any] | Path | str

# Images of a list that are segmented at once.
_TOGETHER = 2


class Segmenter:
    """A model, ready to find nuclei.

    Parameters
    ----------
    bundle
        From `nucleus_unet.model.bundle.load_bundle`.
    device
        ``"auto"`` (CUDA, else MPS, where torch is installed and sees one; else the CPU), ``"cpu"``, ``"cuda"``,
        ``"cuda:1"``, ``"mps"``.
    precision
        ``"int8"``, ``"bfloat16"``, ``"float32"``; ``"auto"`` takes int8 on x86-64 processors if that is the
        model's own default, else bfloat16 where the hardware computes in it, else float32.

    Attributes
    ----------
    bundle : Bundle
        The model.
    engine : Engine
        Runs the network of the model.

    Notes
    -----
    Any number of threads may use one segmenter at the same time. It can be pickled, so that ``multiprocessing``, joblib
    and dask can send it to other processes.

    Examples
    --------
    >>> import numpy as np
    >>> segmenter = Segmenter.from_pretrained()
    >>> image = np.zeros((64, 64), np.uint8)
    >>> rows, columns = np.ogrid[:64, :64]
    >>> image[(rows - 30) ** 2 + (columns - 30) ** 2 < 100] = 200
    >>> len(segmenter.predict(image))
    1
    """

    def __init__(
        self, bundle: Bundle, *, device: str = "auto", precision: Precision | Literal["auto"] = "auto"
    ) -> None:
        self.bundle = bundle
        self.engine = open_engine(bundle, device=device, precision=precision)

    @property
    def device(self) -> str:
        """Where the network runs: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``."""
        return self.engine.identity.device

    @property
    def precision(self) -> Precision:
        """In which the network computes."""
        return self.engine.identity.precision

    @classmethod
    def from_pretrained(
        cls,
        path: Path | str | None = None,
        *,
        device: str = "auto",
        precision: Precision | Literal["auto"] = "auto",
    ) -> Segmenter:
        """Load a model bundle; without a path, the model that comes with the package. No network, no pickle.

        Parameters
        ----------
        path
            Of a bundle: a folder or a zip.
        device, precision
            See the class.

        Raises
        ------
        BundleError
            If the bundle is damaged or of another version.
        FileNotFoundError
            If there is nothing at ``path``.
        """
        return cls(load_bundle(path), device=device, precision=precision)

    def __repr__(self) -> str:
        config = self.bundle.config
        return (
            f"Segmenter({config.name!r}, device={self.device!r}, precision={self.precision!r}, "
            f"diameter={config.diameter:g} pixels)"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model and the device: another process opens an engine of its own."""
        return _open, (self.bundle, self.device, self.precision)

    @overload
    def predict(  # type: ignore[overload-overlap] # a path is an iterable of strings, too
        self, image: Image, **options: Unpack[PredictKeywords]
    ) -> Segmentation: ...

    @overload
    def predict(self, image: Iterable[Image], **options: Unpack[PredictKeywords]) -> list[Segmentation]: ...

    @takes_options(PredictOptions)
    def predict(
        self, image: Image | Iterable[Image], **options: Unpack[PredictKeywords]
    ) -> Segmentation | list[Segmentation]:
        """Find every nucleus.

        Parameters
        ----------
        image
            The path of an image file of any format that `nucleus_unet.io.source.open_image` reads; or (H, W), or
            (H, W, C) with C = 1, 3 or 4 (alpha), of bool, integers or floating point numbers, from numpy, zarr, dask,
            torch, xarray or Pillow; or a list, tuple or generator of these, which gives a list of results.
        **options
            See `PredictOptions`.

        Returns
        -------
        Segmentation or list of Segmentation

        Raises
        ------
        ImageError
            If this is not an image; the message says what was expected and what came.
        SettingsError
            If an option is out of range.
        CancelledError
            If the call was cancelled.
        OSError
            If a file cannot be opened.
        """
        parsed = parse_options(PredictOptions, options)
        check_for_model(self.bundle.config, parsed)
        several = _several(image)
        if several is None:
            return self._predict(image, parsed)  # type: ignore[arg-type]
        return list(self._predict_many(several, parsed))

    @overload
    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: None = None,
        merge: bool = False,
        client: Client | None = None,
        **options: Unpack[SlideKeywords],
    ) -> SlideResult: ...

    @overload
    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: tuple[int, int],
        **options: Unpack[SlideKeywords],
    ) -> None: ...

    @takes_options(SlideOptions)
    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: tuple[int, int] | None = None,
        merge: bool = False,
        client: Client | None = None,
        **options: Unpack[SlideKeywords],
    ) -> SlideResult | None:
        """Find every nucleus of an image of any size, in bounded memory (needs the ``slides`` extra).

        The labels are those of `predict` with the same options (but see ``tissue``). They do not depend on the sides of
        tiles and blocks, nor on the number of workers; on a GPU they depend on the side of tiles, which the plan names.
        A run that was interrupted or killed resumes when the same call is made again. A finished run does nothing.

        Parameters
        ----------
        slide
            What `predict` takes for an image. TIFF, SVS, OME-TIFF, BigTIFF, OME-Zarr (``zarr`` extra), NDPI, MRXS, SCN,
            CZI, BIF and DICOM files (``openslide`` extra) and arrays of zarr and dask are read region by region.
        out
            Folder for the results and for intermediate files.
        shard
            Do one share of the work: ``(3, 20)`` is the third of twenty shares. Shards may run at the same time, on
            machines of one kind that share a file system. They do not wait for each other. Shards are not measured:
            give ``measure`` and ``expand`` with ``merge`` too.
        merge
            Write the results of all shards. They are equal to the byte to those of one machine. The call is refused if
            a shard is missing; without ``merge`` the missing work is done now. Give the same options as for the shards.
        client
            Client of a dask cluster (needs the ``dask`` extra) whose workers run the network and group. The workers
            must be machines of this machine's kind and share the file system of ``slide``, which must be a file, and of
            ``out``. Work of a worker that dies is done by another.
        **options
            See `SlideOptions`.

        Returns
        -------
        SlideResult or None
            Paths of the result files, and `SlideResult.save` for further formats. None for a shard.

        Raises
        ------
        ImageError
            If the file is not an image, is damaged, or cannot be read region by region.
        SettingsError
            If an option is out of range; if ``out`` holds a run with another plan (the message says what differs); if
            another process works in ``out`` or at the same shard; if shards to be merged are missing.
        MissingExtraError
            If the ``slides`` extra, or the extra that the file format needs, is not installed.
        CancelledError
            If the call was cancelled; the same call resumes.
        OSError
            If a file cannot be opened or written.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> slide = np.zeros((1000, 1000), np.uint8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     len(Segmenter.from_pretrained().predict_slide(slide, out=folder))
        0
        """
        from nucleus_unet.slides.segment import segment_slide

        parsed = parse_options(SlideOptions, options)
        check_for_model(self.bundle.config, parsed)
        if not str(out):
            raise SettingsError("out: expected a folder for the results, got an empty path")
        if not isinstance(merge, bool):
            raise SettingsError(f"merge: expected True or False, got {merge!r}")
        return segment_slide(
            self.bundle, self.engine, slide, Path(out), parsed, shard=shard, merge=merge, client=client
        )

    def check_options(self, options: ImageOptions) -> None:
        """Raise `SettingsError` if `predict` or `predict_slide` would refuse these options for every image."""
        check_for_model(self.bundle.config, options)

    def _predict(self, image: Image, options: PredictOptions) -> Segmentation:
        with open_image(image, channel_axis=options.channel_axis) as source:
            plane = source.plane(channel=options.channel)
            pixels, mpp = source.read(plane), options.mpp or plane.mpp
            settings = resolve_settings(options.measure, options.expand, options.neighbour_radius, mpp)
            planes = {} if settings is None else channel_planes(source, options.channel)
            if settings is not None:
                check_measurable(planes.values(), settings)
            found = segment(self.bundle, self.engine, pixels, options, mpp=plane.mpp)
            if settings is None:
                return Segmentation(found.labels, found.probabilities, found.plan, pixels, found.maps, mpp)
            measures, cells = measure_image(source, planes, pixels, found.labels, settings)
        return Segmentation(
            found.labels, found.probabilities, found.plan, pixels, found.maps, mpp, cells=cells, measures=measures
        )

    def _predict_many(self, images: list[Image], options: PredictOptions) -> Iterator[Segmentation]:
        """Segment several images at once: while the network is at one, others are read and grouped."""
        progress = Progress(options.progress, options.cancel)
        alone = dataclasses.replace(options, progress=False)
        with ThreadPoolExecutor(_TOGETHER) as pool:
            results = prefetch_map(pool, lambda image: self._predict(image, alone), images, depth=_TOGETHER)
            for _, result in zip(tracker("images", show=progress)(images), results, strict=True):
                yield result


def _open(bundle: Bundle, device: str, precision: Precision) -> Segmenter:
    return Segmenter(bundle, device=device, precision=precision)


def _several(image: object) -> list[Image] | None:
    """Return the images of a list, tuple, generator or other iterable; None for one image or rows of numbers."""
    if is_source(image) or not isinstance(image, Iterable):
        return None
    images = list(image)
    return images if not images or any(map(is_source, images)) else None
