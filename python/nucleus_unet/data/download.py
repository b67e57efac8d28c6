"""Getting the training images of the 2018 Data Science Bowl: resumable, verified, never half."""

import base64
import hashlib
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nucleus_unet.data.fetch import fetch
from nucleus_unet.data.sources import find_entries
from nucleus_unet.errors import DataError, DownloadError, SettingsError
from nucleus_unet.io.atomic import write_atomically

logger = logging.getLogger(__name__)

ARCHIVE = "stage1_train.zip"
IMAGES = 670


class _Server(NamedTuple):
    base_url: str
    hints: Mapping[int, str]


_BY_HAND = f"If the file has moved: put a {ARCHIVE} you have into the target folder and run it again to verify it"
_SERVERS = {
    "bbbc038": _Server("https://data.broadinstitute.org/bbbc/BBBC038", {404: _BY_HAND, 410: _BY_HAND}),
    "kaggle": _Server(
        "https://www.kaggle.com/api/v1/competitions/data/download/data-science-bowl-2018",
        {
            401: "Kaggle does not know the key: make a new one at https://www.kaggle.com/settings",
            403: "Log in to Kaggle, accept the competition's rules at "
            "https://www.kaggle.com/competitions/data-science-bowl-2018/rules and run it again; "
            "or use the source 'bbbc038', which needs no account",
            404: _BY_HAND,
        },
    ),
}


def download(
    target: Path,
    *,
    source: Literal["bbbc038", "kaggle"] = "bbbc038",
    base_url: str | None = None,
    expected_images: int = IMAGES,
    progress: bool = False,
) -> Path:
    """Download the training images into a folder, as a zip that `read_examples` reads as it is.

    An interrupted download goes on where it stopped. The archive gets its name only once all its checksums
    hold and all images are in it; then its SHA-256 is recorded beside it (in the format of `sha256sum`). An
    archive that is there already is verified and kept, whoever put it there.

    Parameters
    ----------
    target
        Folder for `stage1_train.zip`; made if missing.
    source
        `"bbbc038"`: the Broad Bioimage Benchmark Collection, no account needed. `"kaggle"`: the original
        competition, with the key from `KAGGLE_USERNAME` and `KAGGLE_KEY`, or from `kaggle.json` in
        `KAGGLE_CONFIG_DIR` or `~/.kaggle`.
    base_url
        Address of another folder that has `stage1_train.zip`, such as a mirror; the Kaggle key goes there if
        `source` is `"kaggle"`.
    expected_images
        Number of images with masks that the archive must hold.
    progress
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    Path
        The verified archive.

    Raises
    ------
    DownloadError
        The server refused or kept failing, the disk is full, or what came (or was there) does not verify.
    SettingsError
        `source` or `base_url` is not one that is understood.
    """
    if source not in _SERVERS:
        raise SettingsError(f"source: expected one of {', '.join(_SERVERS)}, got {source!r}")
    server = _SERVERS[source]
    base = server.base_url if base_url is None else base_url.rstrip("/")
    if not base.startswith(("https://", "http://")):
        raise SettingsError(f"base_url: expected an http or https address, got {base_url!r}")
    archive = Path(target) / ARCHIVE
    if archive.exists():
        _verify_present(archive, expected_images)
        return archive
    authorization = _kaggle_authorization() if source == "kaggle" else None
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(archive.name + ".part")
    fetch(f"{base}/{ARCHIVE}", part, authorization=authorization, hints=server.hints, progress=progress)
    _accept(part, archive, expected_images)
    return archive


def _verify_present(archive: Path, expected_images: int) -> None:
    advice = "move it away and run it again to download a new one"
    recorded = _recorded_sha256(archive)
    if recorded is not None and recorded != _sha256(archive):
        raise DownloadError(f"{archive} is not what {_record(archive).name} recorded: {advice}")
    if recorded is None:
        try:
            _verify_archive(archive, expected_images)
        except DownloadError as error:
            raise DownloadError(f"{error}; {advice}") from error
        _write_record(archive, _sha256(archive))
    logger.info("%s is there and verified", archive)


def _accept(part: Path, archive: Path, expected_images: int) -> None:
    note = part.with_name(part.name + ".json")
    try:
        _verify_archive(part, expected_images)
        digest = _sha256(part)
        _verify_same_as_recorded(digest, archive)
    except DownloadError as error:
        part.unlink()
        note.unlink(missing_ok=True)
        raise DownloadError(f"{error}. The download was deleted") from error
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(archive)
    note.unlink(missing_ok=True)
    _write_record(archive, digest)
    logger.info("%s: %d images, SHA-256 %s", archive, expected_images, digest)


def _verify_same_as_recorded(digest: str, archive: Path) -> None:
    recorded = _recorded_sha256(archive)
    if recorded not in (None, digest):
        raise DownloadError(
            f"the server's file has SHA-256 {digest}, but {_record(archive)} records {recorded} "
            "from an earlier download: another version; delete the record to accept it"
        )


def _verify_archive(file: Path, expected_images: int) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{file} is no sound zip archive: {error}") from error
    if damaged is not None:
        raise DownloadError(f"{file} is damaged at {damaged}: its checksum does not match")
    try:
        images = sum(entry.problem is None for entry in find_entries(members))
    except DataError as error:
        raise DownloadError(f"{file} is not the training set: {error}") from error
    if images != expected_images:
        raise DownloadError(f"{file} holds {images} images with masks, expected {expected_images}")


def _record(archive: Path) -> Path:
    return archive.with_name(archive.name + ".sha256")


def _recorded_sha256(archive: Path) -> str | None:
    record = _record(archive)
    if not record.exists():
        return None
    digest, _, _ = record.read_text(encoding="ascii", errors="replace").partition(" ")
    return digest.strip().lower()


def _write_record(archive: Path, digest: str) -> None:
    write_atomically(_record(archive), f"{digest}  {archive.name}\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _kaggle_authorization() -> str:
    username, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if not (username and key):
        username, key = _kaggle_file()
    return "Basic " + base64.b64encode(f"{username}:{key}".encode()).decode("ascii")


def _kaggle_file() -> tuple[str, str]:
    path = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle") / "kaggle.json"
    advice = (
        "make a key at https://www.kaggle.com/settings and save it there, "
        "or set KAGGLE_USERNAME and KAGGLE_KEY; or use the source 'bbbc038', which needs no account"
    )
    if not path.exists():
        raise DownloadError(f"no Kaggle key at {path}: {advice}")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(content["username"]), str(content["key"])
    except (ValueError, KeyError, TypeError):
        # The cause is left out: it may quote the key.
        raise DownloadError(f"{path} holds no 'username' and 'key': {advice}") from None
