"""Find the nuclei of an image: the one class most people need."""

from __future__ import annotations

import dataclasses
import logging
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.inference.test_time_augmentation import build_predictor
from nucleus_unet.io.channels import prepare_image
from nucleus_unet.io.pictures import read_image
from nucleus_unet.masks import filter_by_area, relabel_sequential
from nucleus_unet.model.bundle import Bundle, load_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.precision import Precision
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import dab_attenuated_range, sampling_step
from nucleus_unet.preprocessing.normalisation import IntensityRange, normalise, percentile_range
from nucleus_unet.preprocessing.resample import enlarge_labels, resample, scaled_size
from nucleus_unet.preprocessing.scale import is_stained, requested_scale, scale_from_file
from nucleus_unet.progress import tracker
from nucleus_unet.segmentation import Segmentation

if TYPE_CHECKING:
    from distributed import Client

    from nucleus_unet.io.arrays import ArrayLike
    from nucleus_unet.slides.run import SlideResult

logger = logging.getLogger(__name__)

# A smaller block reads hundreds of times its own pixels around it.
_LEAST_BLOCK = 16
# More threads than any machine can use.
_MOST_WORKERS = 1024


class PredictOptions(TypedDict, total=False):
    """The options of `Segmenter.predict`, which says what they mean."""

    threshold: float | None
    min_area: int | None
    diameter: float | None
    mpp: float | None
    channel: int | str | None
    channel_axis: int | None
    augment: bool
    dab: bool | None
    tile: int | None
    batch_size: int
    maps: bool
    progress: bool


class SlideOptions(TypedDict, total=False):
    """The options of `Segmenter.predict_slide`, which says what they mean."""

    threshold: float | None
    min_area: int | None
    diameter: float | None
    mpp: float | None
    channel: int | str | None
    channel_axis: int | None
    augment: bool
    dab: bool | None
    tissue: bool
    roi: Path | str | Mapping[str, Any] | Sequence[Any] | None
    tile: int | None
    block: int | None
    workers: int | None
    progress: bool


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
        What runs its network.

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

    @overload
    def predict(self, image: NDArray[Any] | Path | str, **options: Unpack[PredictOptions]) -> Segmentation: ...

    @overload
    def predict(
        self, image: list[NDArray[Any] | Path | str], **options: Unpack[PredictOptions]
    ) -> list[Segmentation]: ...

    def predict(
        self,
        image: NDArray[Any] | Path | str | list[NDArray[Any] | Path | str],
        *,
        threshold: float | None = None,
        min_area: int | None = None,
        diameter: float | None = None,
        mpp: float | None = None,
        channel: int | str | None = None,
        channel_axis: int | None = None,
        augment: bool = False,
        dab: bool | None = None,
        tile: int | None = None,
        batch_size: int = 1,
        maps: bool = False,
        progress: bool = False,
    ) -> Segmentation | list[Segmentation]:
        """Find every nucleus.

        Parameters
        ----------
        image
            (H, W), or (H, W, C) with C = 1, 3 or 4 (alpha is ignored), of bool, uint8, uint16, float32 or float64;
            or the path of an image file; or a list of either, which gives a list.
        threshold
            Least foreground probability of a nucleus's pixel, 0 to 1; by default the model's own, calibrated one.
            Higher draws tighter outlines.
        min_area
            Smaller nuclei are dropped, in pixels of the image; by default the model's own.
        diameter
            Typical diameter of the nuclei in pixels. The image is scaled so that it becomes what the model is at home
            with (``segmenter.bundle.config.diameter``). By default stained tissue whose file tells how large its
            pixels are is scaled as ``mpp`` would (to a tenth, and not by less than a fifth) if the model knows its own
            (``config.mpp_known``, as the embedded one does); any other image is taken as it is.
        mpp
            Micrometres per pixel of the image, in place of ``diameter``.
        channel
            Take this channel only: its number or, of a file that names them, its name.
        channel_axis
            Axis that holds the channels, if not the last. A file's own metadata says it.
        augment
            Ask the network eight times, of the image turned and mirrored, and average: a little better, and eight
            times as slow.
        dab
            Whether the image is immunohistochemistry, whose brown may hide nuclei: the network is then asked twice, of
            the image as it is and with its brown thinned, and for each pixel the answer with more foreground stands.
            By default as the image's colours say; the plan tells. Images without colour channels have no dye.
        tile
            Side in pixels of what one network call sees, at most; memory grows with its square. By default as suits
            the device. On CPUs the labels do not depend on it; on others the plan names it.
        batch_size
            Tiles in one network call; for GPUs.
        maps
            Keep what the network said, as ``Segmentation.maps``.
        progress
            Show a bar if standard error is a terminal.

        Returns
        -------
        Segmentation or list of Segmentation

        Raises
        ------
        ImageError
            If the image is none; the message says what was expected and what came.
        SettingsError
            If an option is out of range.
        OSError
            If a file cannot be opened.
        """
        if isinstance(image, list):
            options = PredictOptions(
                threshold=threshold,
                min_area=min_area,
                diameter=diameter,
                mpp=mpp,
                channel=channel,
                channel_axis=channel_axis,
                augment=augment,
                dab=dab,
                tile=tile,
                batch_size=batch_size,
                maps=maps,
                progress=progress,
            )
            return [self.predict(each, **options) for each in image]
        self.check_options(
            threshold=threshold,
            min_area=min_area,
            diameter=diameter,
            mpp=mpp,
            dab=dab,
            tile=tile,
            batch_size=batch_size,
        )
        tile = tile or self.engine.default_tile
        told = None
        if isinstance(image, Path | str):
            pixels, told = _read(Path(image), channel_axis, channel)
        else:
            pixels = prepare_image(image, channel_axis=channel_axis, channel=channel)
        scale = self._scale(diameter, mpp, told, pixels.shape, pixels.dtype, lambda *region: pixels[region])
        config = self._group_config(threshold, min_area, scale)
        levels = percentile_range(pixels)
        step = sampling_step(pixels.shape)
        thinned = dab_attenuated_range(pixels[::step, ::step], levels, dab)
        plan = self._plan(levels, thinned, scale, config, min_area, augment=augment, tile=tile, batch_size=batch_size)
        if levels is None:
            return _nothing(pixels, plan, keep_maps=maps)
        network = build_predictor(self.engine, plan)
        predicted = self._maps(network, pixels, levels, scale, tile=tile, batch_size=batch_size, progress=progress)
        grouped = group(predicted, config)
        labels, scores = grouped.labels, grouped.scores
        if scale != 1:
            labels, scores = _renumbered(enlarge_labels(labels, pixels.shape[:2], scale), scores, min_area or 0)
        return Segmentation(labels, scores, plan, pixels, predicted if maps else None)

    @overload
    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: None = None,
        merge: bool = False,
        client: Client | None = None,
        **options: Unpack[SlideOptions],
    ) -> SlideResult: ...

    @overload
    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: tuple[int, int],
        **options: Unpack[SlideOptions],
    ) -> None: ...

    def predict_slide(
        self,
        slide: Path | str | ArrayLike,
        *,
        out: Path | str,
        shard: tuple[int, int] | None = None,
        merge: bool = False,
        client: Client | None = None,
        threshold: float | None = None,
        min_area: int | None = None,
        diameter: float | None = None,
        mpp: float | None = None,
        channel: int | str | None = None,
        channel_axis: int | None = None,
        augment: bool = False,
        dab: bool | None = None,
        tissue: bool = True,
        roi: Path | str | Mapping[str, Any] | Sequence[Any] | None = None,
        tile: int | None = None,
        block: int | None = None,
        workers: int | None = None,
        progress: bool = False,
    ) -> SlideResult | None:
        """Find every nucleus of an image of any size, in bounded memory (needs the ``slides`` extra).

        The result is that of `predict` with the same options (but see ``tissue``), label for label, for every tile
        (where the engine is not exact, as on GPUs: for equal ones) and block size and number of workers. A run that was
        interrupted, even killed, goes on where it was when called again; a finished one does nothing.

        Parameters
        ----------
        slide
            Path of an image: TIFF, SVS, OME-TIFF, BigTIFF, OME-Zarr (``zarr`` extra), NDPI, MRXS, SCN, CZI, BIF or
            DICOM (``openslide`` extra), of which parts are read as they are needed, or any other that `predict`
            reads. Or an array, in memory, mapped into it, of zarr or dask: (H, W) or (H, W, C), of the dtypes that
            `predict` takes.
        out
            Folder for the results and for what is kept in between.
        shard
            Do a share of the work only: ``(3, 20)`` is the third of twenty, which may run at once, on machines of
            one kind that share a file system. None waits for another, so the first to come each look at the slide.
        merge
            Write the results of shards, byte for byte those of one machine, and refuse if any is missing (without
            this, what is missing is done now). Give all the same options and sizes.
        client
            Of a dask cluster (needs the ``dask`` extra), whose workers predict and group; they must share the file
            system of ``slide``, a file then, and ``out``, and be of one kind, this machine's. One that dies loses
            nothing.
        threshold, min_area, diameter, mpp, channel, channel_axis, augment, dab
            As `predict` takes them.
        tissue
            Pass over empty glass, as `nucleus_unet.slides.survey.tissue` tells it. This is the default, as the greater
            part of most slides is glass, and the rule keeps what has even a small part of a nucleus's contrast. The
            mask is part of the plan, and the result is that of `predict` with all maps zero outside of it; with
            ``tissue=False`` it is that of `predict` alone.
        roi
            Regions to which to limit the run: a GeoJSON file, as QuPath exports annotations, or what is in one;
            polygons in pixels of the full resolution (needs the ``roi`` extra). The nuclei whose centres, the peaks
            of the heat, lie in them or on their borders are reported, whole, the very ones of the whole slide; what is
            farther away is not looked at.
        tile
            As `predict` takes it.
        block
            Side in pixels of what one grouping step decides, at most; 16 at least, by default as suits the scale.
        workers
            Threads that read, group and write beside those that run the network; by default up to four.
        progress
            Show bars with rate and time left if standard error is a terminal.

        Returns
        -------
        SlideResult
            Paths of the table, the label image, the outlines and the picture; None of a shard.
            `nucleus_unet.slides.export.export_slide` makes further formats of them.

        Raises
        ------
        ImageError
            If the slide is none, is damaged, or cannot be read in parts.
        SettingsError
            If an option is out of range; if ``out`` holds a run with another plan, and the message says what differs;
            if another process works there, or at the same shard; if shards to be merged are missing.
        MissingExtraError
            If the ``slides`` extra is not installed, or the one that the slide needs.
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
        from nucleus_unet.io.source import file_facts, open_slide
        from nucleus_unet.slides.executors.dask import Cluster
        from nucleus_unet.slides.executors.shards import check_shard
        from nucleus_unet.slides.roi import read_roi
        from nucleus_unet.slides.run import Model, Sizes, SlideRun

        self.check_options(
            threshold=threshold,
            min_area=min_area,
            diameter=diameter,
            mpp=mpp,
            dab=dab,
            tile=tile,
            block=block,
            workers=workers,
        )
        if (shard is not None) + bool(merge) + (client is not None) > 1:
            raise SettingsError("give one of shard, merge and client: shards are merged when all are done")
        if client is not None and not isinstance(slide, Path | str):
            raise SettingsError(f"client: expected the path of a slide, which workers open, got {type(slide).__name__}")
        engine = self.engine.parallel()
        side = tile or engine.default_tile
        share = None if shard is None else check_shard(shard)
        drawn = None if roi is None else read_roi(roi)
        opened = open_slide(slide, channel=channel, channel_axis=channel_axis)
        if mpp is not None:
            opened.mpp = float(mpp)
        elif diameter is None and opened.mpp is None:
            logger.warning(
                "the slide does not say a plausible pixel size, and is taken as it is: give mpp= or diameter= "
                "if its nuclei are not about %.0f pixels wide",
                self.bundle.config.diameter,
            )
        shape = opened.shape if opened.channels is None else (*opened.shape, opened.channels)
        scale = self._scale(diameter, mpp, opened.mpp, shape, opened.dtype, opened.read)
        config = self._group_config(threshold, min_area, scale)
        model = Model(
            engine=engine,
            scale=scale,
            group_config=config,
            min_area=min_area,
            tissue=tissue,
            roi=drawn,
            plan=lambda seen: self._plan(
                seen.levels, seen.stains.chosen(dab), scale, config, min_area, augment=augment, tile=side, batch_size=1
            ),
        )
        origin = None
        if isinstance(slide, Path | str):
            facts = file_facts(Path(slide))
            origin = facts and {**facts, "channel": f"{channel!r} of axis {channel_axis!r}"}
        run = SlideRun(
            opened,
            model,
            Path(out),
            origin=origin,
            sizes=Sizes(side, block, workers or min(4, os.cpu_count() or 1)),
            progress=progress,
        )
        if share is None:
            cluster = None
            if client is not None:
                path = Path(str(slide)).resolve()
                cluster = Cluster(client, self.bundle, path, channel, channel_axis, drawn)
            return run.whole(merge=merge, cluster=cluster)
        run.shard(share)
        return None

    def check_options(
        self,
        *,
        threshold: float | None = None,
        min_area: int | None = None,
        diameter: float | None = None,
        mpp: float | None = None,
        dab: bool | None = None,
        tile: int | None = None,
        batch_size: int = 1,
        block: int | None = None,
        workers: int | None = None,
        **_of_the_image: Any,
    ) -> None:
        """Raise `SettingsError` if `predict` or `predict_slide` would refuse these options for every image."""
        for name, value in (("threshold", threshold), ("diameter", diameter), ("mpp", mpp)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
                raise SettingsError(f"{name}: expected a number, got {value!r}")
        if dab not in (None, True, False):
            raise SettingsError(f"dab: expected True, False or None, got {dab!r}")
        _check_whole_number("min_area", min_area, 0)
        if batch_size is None:
            raise SettingsError("batch_size: expected a whole number of at least 1, got None")
        _check_whole_number("batch_size", batch_size, 1)
        _check_whole_number("tile", tile, 1)
        _check_whole_number("block", block, _LEAST_BLOCK)
        _check_whole_number("workers", workers, 1, _MOST_WORKERS)
        self._group_config(threshold, min_area, requested_scale(self.bundle.config, diameter=diameter, mpp=mpp) or 1.0)

    def _maps(
        self,
        network: Predictor,
        pixels: NDArray[Any],
        levels: IntensityRange,
        scale: float,
        *,
        tile: int,
        batch_size: int,
        progress: bool,
    ) -> NDArray[np.uint8]:
        if scale == 1:
            shape = pixels.shape[:2]

            def read(rows: slice, columns: slice) -> NDArray[np.float32]:
                return normalise(pixels[rows, columns], levels)
        else:
            scaled = resample(normalise(pixels, levels), scale)
            shape = scaled.shape[:2]

            def read(rows: slice, columns: slice) -> NDArray[np.float32]:
                return scaled[rows, columns]

        maps = predict_maps(
            network,
            read,
            shape,
            tile=tile,
            batch_size=batch_size,
            track=tracker("nuclei", show=progress),
        )
        self.engine.release()
        return maps

    def _scale(
        self,
        diameter: float | None,
        mpp: float | None,
        told: float | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[slice, slice], NDArray[Any]],
    ) -> float:
        """Return the scale that is asked for, else the one that follows from the pixel size that a file tells."""
        config = self.bundle.config
        asked = requested_scale(config, diameter=diameter, mpp=mpp)
        if asked is not None:
            return asked
        if told is None or not config.mpp_known or len(shape) == 2:
            return 1.0
        return scale_from_file(config, told) if is_stained(read, (shape[0], shape[1]), dtype) else 1.0

    def _group_config(self, threshold: float | None, min_area: int | None, scale: float) -> GroupConfig:
        config = self.bundle.config.group
        if threshold is not None:
            if not 0 <= threshold <= 1:
                raise SettingsError(f"threshold: expected a probability of 0 to 1, got {threshold}")
            config = dataclasses.replace(config, foreground_threshold=float(threshold))
        if min_area is not None:
            config = dataclasses.replace(config, min_area=math.floor(min_area * scale**2))
        return config

    def _plan(
        self,
        levels: IntensityRange | None,
        thinned: IntensityRange | None,
        scale: float,
        config: GroupConfig,
        min_area: int | None,
        *,
        augment: bool,
        tile: int,
        batch_size: int,
    ) -> Plan:
        identity = self.engine.identity
        return Plan(
            model=self.bundle.config.name,
            fingerprint=self.bundle.fingerprint,
            intensity_range=None if levels is None else list(levels),
            scale=scale,
            augment=bool(augment),
            dab=None if thinned is None else list(thinned),
            min_area=None if min_area is None else int(min_area),
            engine=identity.engine,
            device=identity.device,
            precision=identity.precision,
            hardware=identity.hardware,
            threads=identity.threads,
            tile=None if identity.exact else tile,
            batch_size=None if identity.exact else batch_size,
            group=config.to_json(),
        )


def _read(path: Path, channel_axis: int | None, channel: int | str | None) -> tuple[NDArray[Any], float | None]:
    """Return an image file's pixels, and the micrometres per pixel that it tells."""
    file = read_image(path)
    axis = file.channel_axis if channel_axis is None else channel_axis
    try:
        pixels = prepare_image(file.pixels, channel_axis=axis, channel=channel, channel_names=file.channel_names)
        return pixels, file.mpp
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _check_whole_number(name: str, value: int | None, least: int, most: int | None = None) -> None:
    """Raise `SettingsError` unless it is one, or None for the default."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not least <= value <= (most or 2**31 - 1):
        bounds = f"of at least {least}" if most is None else f"of {least} to {most}"
        raise SettingsError(f"{name}: expected a whole number {bounds}, got {value!r}")


def _nothing(pixels: NDArray[Any], plan: Plan, *, keep_maps: bool) -> Segmentation:
    shape = pixels.shape[:2]
    maps = None
    if keep_maps:
        maps = np.zeros((*(scaled_size(side, plan.scale) if side else 0 for side in shape), 4), np.uint8)
        maps[..., 2:] = 128
    return Segmentation(np.zeros(shape, np.uint32), np.zeros(0, np.float32), plan, pixels, maps)


def _renumbered(
    labels: NDArray[np.uint32], scores: NDArray[np.float32], min_area: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Renumber where scaling lost a nucleus, made it too small, or changed which pixel comes first."""
    renumbered, old_labels = relabel_sequential(filter_by_area(labels, min_area=min_area))
    return renumbered, scores[old_labels[1:].astype(np.intp) - 1]
