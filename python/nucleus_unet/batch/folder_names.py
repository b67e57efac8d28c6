"""Keep the names of output folders between the runs of a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nucleus_unet.batch.names import absolute, choose_names
from nucleus_unet.batch.record import RUN_FOLDER, SUMMARY, Planned, RecordWriter, RunRecord, lock_output
from nucleus_unet.errors import SettingsError

# Seconds to wait for another process that chooses names.
_PATIENCE = 60


def keep_folder_names(images: Sequence[tuple[Path, Path]], out: Path, *, command: str) -> list[tuple[Path, Path]]:
    """Return each image with a folder in the output folder that is no other's, the same in every run.

    Several processes may do this at the same time, as the shards of slides do.

    Parameters
    ----------
    images
        Path of each image, and its name in the output folder, with its suffix.
    out
        Output folder, which is made.
    command
        What writes the folders; the output folder of one is refused to others.

    Raises
    ------
    DataError
        If the record of the folder is damaged.
    SettingsError
        If another process keeps the folder locked, or other results lie there, or a file where the summary goes.
    """
    settings = {"command": command}
    with lock_output(out, patience=_PATIENCE):
        record, writer = RunRecord.read(out), RecordWriter(out)
        if record.settings is None and (out / SUMMARY).exists():
            raise SettingsError(f"{out / SUMMARY} is there already, and is no result: choose another output folder")
        if record.settings not in (None, settings):
            raise SettingsError(f"{out} holds the results of another command: choose another output folder")
        kept = {Path(planned.source): Path(name) for name, planned in record.planned.items()}
        sources = {absolute(path) for path, _ in images}
        others = [name for name, planned in record.planned.items() if Path(planned.source) not in sources]
        names = choose_names(images, suffixes=[""], kept=kept, reserved=[*others, SUMMARY, RUN_FOLDER])
        new = [
            (name.as_posix(), Planned(str(absolute(path)), None))
            for (path, _), name in zip(images, names, strict=True)
            if name.as_posix() not in record.planned
        ]
        if record.settings is None:
            writer.begin(settings)
        if new:
            writer.plan(new, [])
    return [(path, out / name) for (path, _), name in zip(images, names, strict=True)]
