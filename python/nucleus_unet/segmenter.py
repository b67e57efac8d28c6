"""Find the nuclei of an image: the one class most people need."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from nucleus_unet.batch.one_image import Image, segment_image, segment_images, segment_place
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.planning import check_for_model, settings_of
from nucleus_unet.io.paths import check_path
from nucleus_unet.io.several import several_images
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.model.precision import Precision
from nucleus_unet.options import (
    ImageOptions,
    OnePlaneKeywords,
    PredictKeywords,
    PredictOptions,
    SlideKeywords,
    SlideOptions,
    parse_options,
    takes_options,
)
from nucleus_unet.segmentation import Segmentation

if TYPE_CHECKING:
    from distributed import Client

    from nucleus_unet.batch.summary import BatchResult
    from nucleus_unet.io.whole import ArrayLike
    from nucleus_unet.slides.result import SlideResult
    from nucleus_unet.stacks.result import StackResult

logger = logging.getLogger(__name__)


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
        ``"int8"``, ``"bfloat16"``, ``"float32"``; ``"auto"`` takes int8 on x86-64 processors with AVX2 if that is the
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
            Of a bundle: a folder or a zip. Or the name of a model of the package: ``"embedded"``, the default, or
            ``"small"``, which is faster, and less accurate on most held-out images.
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
        self, image: Image, *, out: None = None, **options: Unpack[OnePlaneKeywords]
    ) -> Segmentation: ...

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, image: Image, *, out: None = None, **options: Unpack[PredictKeywords]
    ) -> Segmentation | Iterator[Segmentation]: ...

    @overload
    def predict(
        self,
        image: Image,
        *,
        out: Path | str,
        formats: Sequence[str] = ...,
        overwrite: bool = ...,
        **options: Unpack[PredictKeywords],
    ) -> StackResult: ...

    @overload
    def predict(self, image: Iterable[Image], **options: Unpack[PredictKeywords]) -> list[Segmentation]: ...

    @takes_options(PredictOptions)
    def predict(
        self,
        image: Image | Iterable[Image],
        *,
        out: Path | str | None = None,
        formats: Sequence[str] = ("tif", "csv"),
        overwrite: bool = False,
        **options: Unpack[PredictKeywords],
    ) -> Segmentation | Iterator[Segmentation] | StackResult | list[Segmentation]:
        """Find the nuclei of an image.

        Parameters
        ----------
        image
            The path of an image file of any format that `nucleus_unet.io.source.open_image` reads; or (H, W), or
            (H, W, C) with C = 1, 3 or 4 (alpha), of bool, integers or floating point numbers, from numpy, zarr, dask,
            torch, xarray or Pillow; or a list, tuple or generator of these, which gives a list of results.
        out
            Folder for the results of several planes: a stack of label images and one table, written plane by plane. A
            call that was interrupted or killed resumes when it is made again. A finished one does nothing.
        formats
            With ``out``, what to write: ``"tif"`` (OME-TIFF with the axes TZYX), ``"csv"``, ``"parquet"`` (needs the
            ``slides`` extra), ``"ctc"`` (label images as the Cell Tracking Challenge has them).
        overwrite
            With ``out``, begin anew if it holds another run, and replace files of the names of results.
        **options
            See `PredictOptions`.

        Returns
        -------
        Segmentation, iterator of Segmentation, StackResult, or list of Segmentation
            A `Segmentation` for one plane. An iterator if ``scene``, ``time`` or ``z`` is a range or ``"all"``, which
            segments planes as it advances; ``place`` says which each is. A `StackResult` with ``out``. A list for many.

        Raises
        ------
        ImageError
            If this is not an image; the message says what was expected and what came.
        SettingsError
            If an option is out of range; if ``out`` holds another run.
        CancelledError
            If the call was cancelled.
        OSError
            If a file cannot be opened.
        """
        parsed = parse_options(PredictOptions, options)
        check_for_model(self.bundle.config, parsed)
        several = several_images(image)
        if several is not None:
            if out is not None or parsed.selection.several:
                raise SettingsError("several planes are of one image: call predict for each image")
            return list(segment_images(self.bundle, self.engine, several, parsed))
        segment = functools.partial(segment_place, self.bundle, self.engine)
        if out is not None:
            from nucleus_unet.stacks.planes import write_planes

            settings = settings_of(self.bundle, self.engine.identity, parsed)
            return write_planes(
                image, Path(out), parsed, segment, formats=formats, settings=settings, overwrite=overwrite
            )
        if parsed.selection.several:
            from nucleus_unet.stacks.planes import each_plane

            return each_plane(image, parsed, segment)
        return segment_image(self.bundle, self.engine, image, parsed)  # type: ignore[arg-type]

    @takes_options(PredictOptions)
    def predict_files(
        self,
        images: Path | str | Iterable[Path | str],
        *,
        out: Path | str,
        formats: Sequence[str] = ("tif", "geojson"),
        workers: int | None = None,
        overwrite: bool = False,
        **options: Unpack[PredictKeywords],
    ) -> BatchResult:
        """Find the nuclei of many image files, and write the results to a folder, with a table of the run.

        Memory does not grow with the number of images. A call that was interrupted or killed resumes when it is made
        again: images are skipped whose files did not change and whose results are there. An image that cannot be
        segmented is listed in the result, and the others go on.

        Parameters
        ----------
        images
            Paths of images, of folders to be searched, and glob patterns. Hidden files and earlier results of this
            library are passed over.
        out
            Folder for the results and for ``summary.csv``, which has one row for each image.
        formats
            Names of the formats of the results; see `Segmentation.save`.
        workers
            Number of images at once; memory grows with it. The result does not depend on it.
        overwrite
            Begin anew if ``out`` holds a run, and replace what lies there under the names of results.
        **options
            See `PredictOptions`.

        Returns
        -------
        BatchResult
            One row for each image, and what was passed over.

        Raises
        ------
        SettingsError
            If there is no image; if an option is out of range; if ``out`` holds a run with other settings (the message
            says what differs), or other files under the names of results; if another process works in ``out``.
        MissingExtraError
            If a format needs an extra that is not installed.
        CancelledError
            If the call was cancelled; the same call resumes.
        OSError
            If nothing can be written to ``out``.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "a.npy", np.zeros((64, 64), np.uint8))
        >>> run = Segmenter.from_pretrained().predict_files(folder, out=folder / "results", formats=["csv"])
        >>> run.nuclei, len(run.files), run.summary.name
        (0, 1, 'summary.csv')
        """
        from nucleus_unet.batch.prepare import prepare_batch
        from nucleus_unet.batch.run import check_workers, run_batch

        parsed = parse_options(PredictOptions, options)
        self.check_options(parsed)
        workers = check_workers(workers)
        return run_batch(
            self, prepare_batch(images, out, formats=formats, overwrite=overwrite), parsed, workers=workers
        )

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
        """Find the nuclei of an image of any size, in bounded memory (needs the ``slides`` extra).

        The labels are those of `predict` with the same options (but see ``tissue``). They do not depend on the sides of
        tiles and blocks, nor on the number of workers; on a GPU they depend on the side of tiles, which the plan names.
        A run that was interrupted or killed resumes when the same call is made again. A finished run does nothing.

        Parameters
        ----------
        slide
            What `predict` takes for an image. TIFF, SVS, OME-TIFF, BigTIFF, CZI, OME-Zarr (``zarr`` extra), NDPI, MRXS,
            SCN, BIF and DICOM files (``openslide`` extra) and arrays of zarr and dask are read region by region.
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
        folder = check_path(out, "out")
        if isinstance(slide, Path | str):
            slide = check_path(slide, "slide")
        if not isinstance(merge, bool):
            raise SettingsError(f"merge: expected True or False, got {merge!r}")
        return segment_slide(self.bundle, self.engine, slide, folder, parsed, shard=shard, merge=merge, client=client)

    def check_options(self, options: ImageOptions) -> None:
        """Raise `SettingsError` if `predict` or `predict_slide` would refuse these options for every image."""
        check_for_model(self.bundle.config, options)


def _open(bundle: Bundle, device: str, precision: Precision) -> Segmenter:
    return Segmenter(bundle, device=device, precision=precision)
