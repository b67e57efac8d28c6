"""One slide from file to results, as `nucleus_unet.Segmenter.predict_slide` calls it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_unet.classifier.check import check_fits
from nucleus_unet.classifier.model import Classifier
from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.planning import (
    ImageReader,
    choose_group_config,
    choose_scale,
    least_area,
    make_plan,
    scale_of_options,
)
from nucleus_unet.inference.scale_log import log_nothing_found, log_search
from nucleus_unet.inference.scale_search import ScaleSearch
from nucleus_unet.io.file_facts import file_facts
from nucleus_unet.io.source import open_image
from nucleus_unet.io.whole import ArrayLike
from nucleus_unet.measures.channels import channel_planes, check_measurable
from nucleus_unet.measures.settings import resolve_settings
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.options import SlideOptions
from nucleus_unet.plan import Plan
from nucleus_unet.progress import Progress
from nucleus_unet.slides.executors.dask import Cluster
from nucleus_unet.slides.executors.shards import check_shard
from nucleus_unet.slides.measuring import measure_slide
from nucleus_unet.slides.plan import Survey
from nucleus_unet.slides.result import SlideResult
from nucleus_unet.slides.roi import read_roi
from nucleus_unet.slides.run import ExecutionOptions, SlideModel, SlideRun
from nucleus_unet.slides.source import SlideSource

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)


def segment_slide(
    bundle: Bundle,
    engine: Engine,
    slide: Path | str | ArrayLike,
    out: Path,
    options: SlideOptions,
    *,
    shard: tuple[int, int] | None,
    merge: bool,
    client: Client | None,
) -> SlideResult | None:
    """Find the nuclei of a slide; see `nucleus_unet.Segmenter.predict_slide`.

    Parameters
    ----------
    bundle, engine
        The model, and what runs it.
    slide, out, shard, merge, client
        As `nucleus_unet.Segmenter.predict_slide` takes them.
    options
        See `SlideOptions`.
    """
    if (shard is not None) + merge + (client is not None) > 1:
        raise SettingsError("give one of shard, merge and client: shards are merged when all are done")
    if client is not None and not isinstance(slide, Path | str):
        raise SettingsError(f"client: expected the path of a slide, which workers open, got {type(slide).__name__}")
    progress = Progress(options.progress, options.cancel)
    parallel = engine.parallel()
    tile = options.tile or parallel.default_tile
    checked_shard = None if shard is None else check_shard(shard)
    roi = None if options.roi is None else read_roi(options.roi)
    with open_image(slide, axes=options.axes, channel_axis=options.channel_axis) as source:
        opened = options.selection.only(source)
        if 0 in opened.shape:
            raise ImageError(f"slide: expected at least one pixel, got {opened.shape[0]} x {opened.shape[1]}")
        from_file = opened.mpp
        if options.mpp is not None:
            opened.mpp = float(options.mpp)
        elif options.diameter is None and opened.mpp is None and bundle.config.scale_score is None:
            logger.warning(
                "the slide gives no plausible pixel size and keeps its size: give mpp= or diameter= if its nuclei are "
                "not about %.0f pixels wide",
                bundle.config.diameter,
            )
        settings = resolve_settings(options.measure, options.expand, options.neighbour_radius, opened.mpp)
        channels = {}
        if settings is not None:
            channels = channel_planes(source, options.selection, options.selection.places(source)[0])
            check_measurable(channels.values(), settings)
        classifier = options.classifier if isinstance(options.classifier, Classifier) else None
        if settings is not None and classifier is not None:
            check_fits(classifier, channels, settings, bundle.fingerprint)

        shape = opened.shape if opened.channels is None else (*opened.shape, opened.channels)
        reader = ImageReader(lambda *region: opened.read(*region), shape, opened.dtype, from_file)

        def find_scale(survey: Survey) -> ScaleSearch:
            search_tile = options.tile or engine.default_tile
            levels, attenuated_range = survey.levels_for(options.dab)
            search = choose_scale(
                engine,
                bundle.config,
                reader,
                levels,
                attenuated_range=attenuated_range,
                tile=search_tile,
                progress=progress,
            )
            log_search(search)  # before the hours that a slide may take
            return search

        def plan(survey: Survey, search: ScaleSearch) -> Plan:
            min_area = least_area(bundle.config, options, search)
            levels, attenuated_range = survey.levels_for(options.dab)
            return make_plan(
                bundle,
                parallel.identity,
                options,
                choose_group_config(bundle.config, options, search.scale, min_area),
                search=search,
                min_area=min_area,
                levels=levels,
                attenuated_range=attenuated_range,
                tile=tile,
                batch_size=1,
            )

        model = SlideModel(
            engine=parallel,
            scale=scale_of_options(bundle.config, options, reader),
            find_scale=find_scale,
            margin=bundle.config.group.margin,
            tissue=options.tissue,
            roi=roi,
            plan=plan,
        )
        run = SlideRun(
            opened,
            model,
            out,
            origin=_origin(slide, options) if source.self_contained else None,
            sizes=ExecutionOptions(tile, options.block, options.workers or min(4, os.cpu_count() or 1)),
            progress=progress,
        )
        if checked_shard is not None:
            run.shard(checked_shard)
            return None
        cluster = None
        if client is not None:
            path = Path(str(slide)).resolve()
            cluster = Cluster(client, bundle, path, options.selection, options.axes, options.channel_axis, roi)
        result = run.whole(merge=merge, cluster=cluster)
        if not len(result):
            log_nothing_found(result.plan.prediction.scale, options)
        if isinstance(slide, Path | str):
            image = str(Path(slide).absolute())
            SlideSource(image, options.selection, options.axes, options.channel_axis).write(out)
        if settings is not None:
            measure_slide(out, channels, settings, classifier, progress=progress)
        return result


def _origin(slide: Path | str | ArrayLike, options: SlideOptions) -> dict[str, object] | None:
    """Return facts that identify a file and the chosen plane without reading pixels; None if there are none."""
    if not isinstance(slide, Path | str):
        return None
    facts = file_facts(Path(slide))
    return facts and {**facts, "plane": f"{options.selection} of axes {options.axes!r}, {options.channel_axis!r}"}
