"""Archives that `zipfile` opens, of any number of files."""

import io
import zipfile

import pytest
from nucleus_unet.exports import stored_zip
from nucleus_unet.exports.stored_zip import StoredZipWriter


def archive(files: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with StoredZipWriter(file) as writer:
        for name, content in files.items():
            writer.add(name, content)
    return file


def assert_same(file: io.BytesIO, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == files


@pytest.mark.parametrize("count", [0, 1, 3, 65_534, 65_535, 70_000])
def test_all_files_are_read_back(count: int) -> None:
    files = {f"{number}.roi": str(number).encode() * (number % 5) for number in range(count)}
    assert_same(archive(files), files)


def test_files_far_out_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_zip, "_MOST_BYTES", 100)
    files = {f"{number}.roi": b"x" * 30 for number in range(20)}
    assert_same(archive(files), files)


def test_equal_files_give_equal_archives() -> None:
    assert archive({"a": b"1"}).getvalue() == archive({"a": b"1"}).getvalue()
