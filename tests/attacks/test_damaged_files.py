"""Damaged files of every format: they are read or refused with a sentence, in bounded time and memory."""

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("damaged_files", Path(__file__).with_name("damaged_files.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
damaged_files = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(damaged_files)


def test_damaged_files_are_read_or_refused_with_a_sentence_and_nothing_is_written(tmp_path: Path) -> None:
    files = damaged_files.make_damaged_files(tmp_path, 66)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    results = damaged_files.read_within_limits(files)
    faults = {file.name: said for file, said in results.items() if not said.startswith(("read", "refused"))}
    assert not faults
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    for file, said in results.items():
        assert said == "read" or file.name in said, f"a refusal names the file: {said}"


def test_sound_files_of_every_format_are_read(tmp_path: Path) -> None:
    from helpers.damage import write_sound_files

    files = write_sound_files(tmp_path / "sound")
    assert damaged_files.read_within_limits(files) == dict.fromkeys(files, "read")
