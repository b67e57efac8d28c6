"""The record of a run survives being cut off at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from nucleus_unet.batch.record import RUN_FOLDER, Done, Planned, RecordWriter, RunRecord
from nucleus_unet.errors import DataError

DONE = Done({"bytes": 3, "modified": 4}, ["csv"], 5, 60.5, 1.0, 0.25)


def write(out: Path) -> Path:
    writer = RecordWriter(out)
    writer.begin({"threshold": 0.5})
    writer.plan([("a", Planned("/in/a.tif", DONE.facts)), ("deep/b\udcff", Planned("/in/b\udcff.tif", None))], ["csv"])
    writer.done("a", DONE)
    return out / RUN_FOLDER / "record.jsonl"


def test_a_record_reads_back(tmp_path: Path) -> None:
    write(tmp_path)
    record = RunRecord.read(tmp_path)
    assert record.settings == {"threshold": 0.5}
    assert record.planned["deep/b\udcff"] == Planned("/in/b\udcff.tif", None)
    assert record.done == {"a": DONE}
    assert list(record.result_files()) == [Path("a.csv"), Path("deep/b\udcff.csv")]


def test_a_folder_without_a_record_has_an_empty_one(tmp_path: Path) -> None:
    assert RunRecord.read(tmp_path) == RunRecord()


def test_a_record_that_was_cut_off_anywhere_reads_and_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        RunRecord.read(tmp_path)
        RecordWriter(tmp_path).done("c", DONE)
        record = RunRecord.read(tmp_path)
        assert record.done["c"] == DONE
        assert path.read_bytes().startswith(content[: content[:length].rfind(b"\n") + 1])


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"1", b'{"version": 99}', b'{"name": "a"}', b'{"planned": 3}', b"\xff", b"{" * 9999]
)
def test_a_record_that_is_damaged_in_the_middle_is_told(tmp_path: Path, line: bytes) -> None:
    path = write(tmp_path)
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(DataError, match=r"damaged in line 1: begin anew with --overwrite"):
        RunRecord.read(tmp_path)
