"""Files that are written whole or not at all."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from nucleus_unet.exploration.page import check_page_path
from nucleus_unet.io import atomic as files
from nucleus_unet.io.atomic import write_atomically


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "old")

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*a.txt'"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "check",
    [
        lambda folder: files.check_output_folder(folder / "new" / "deep", "results"),
        lambda folder: files.check_new_folder(folder / "new", "results"),
        lambda folder: check_page_path(folder / "page.html"),
    ],
)
def test_a_folder_that_takes_no_files_is_told_before_long_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[Path], None]
) -> None:
    check(tmp_path)

    def refused(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    with pytest.raises(PermissionError, match=str(tmp_path)):
        check(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        check(tmp_path / "file")


def test_written_files_have_the_rights_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomically(tmp_path / "written", "")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode
