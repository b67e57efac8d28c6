"""``nucleus-unet slide`` with many slides, and in shards, as people type it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from helpers.images import draw_discs
from nucleus_unet.cli import app
from nucleus_unet.slides.tasks import SlideTasks
from typer.testing import CliRunner, Result


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    """Folder of two slides and a file that is none."""
    folder = tmp_path / "slides"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", draw_discs((70, 90), [(20, 25, 6), (50, 60, 7)]))
    (folder / "b.svs").write_text("not a slide")
    tifffile.imwrite(folder / "c.tif", draw_discs((70, 90), [(30, 30, 6)]))
    return folder


def run(bundle: Path, *arguments: Any) -> Result:
    return CliRunner().invoke(app, ["slide", "--model", str(bundle), "--device", "cpu", *map(str, arguments)])


def folders_in(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if path.name not in ("nucleus-unet-run", "summary.csv"))


def nuclei_in(folder: Path) -> int:
    found: int = json.loads((folder / "summary.json").read_text())["nuclei"]
    return found


def test_each_slide_gets_a_folder_and_a_bad_one_is_passed_over_and_listed(
    tiny_bundle: Path, slides: Path, tmp_path: Path
) -> None:
    result = run(tiny_bundle, slides, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert folders_in(tmp_path / "out") == ["a", "c"]
    assert (nuclei_in(tmp_path / "out" / "a"), nuclei_in(tmp_path / "out" / "c")) == (2, 1)
    assert "3 nuclei in 2 slides" in result.stdout
    assert "1 could not be segmented" in result.stderr
    assert result.stderr.count("b.svs") == 1


def test_zarr_folders_are_slides_by_name_in_folders_and_by_pattern(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slides"
    for name in ("a.zarr", "deep/b.ome.zarr"):
        zarr.create_array(folder / name, data=draw_discs((70, 90), [(20, 25, 6), (50, 60, 7)]), chunks=(32, 32))
    tifffile.imwrite(folder / "a.zarr" / "thumbnail.tif", np.zeros((9, 9), np.uint8))  # part of a slide, not one itself
    assert run(tiny_bundle, folder / "a.zarr", "--out", tmp_path / "one").exit_code == 0
    assert nuclei_in(tmp_path / "one") == 2
    for images, names in ((folder, ("a", "deep/b.ome")), (folder / "*" / "*.zarr", ("b.ome",))):
        out = tmp_path / f"{len(names)}"
        result = run(tiny_bundle, images, "--out", out)
        assert result.exit_code == 0, result.stderr
        assert [str(path.parent.relative_to(out)) for path in sorted(out.rglob("summary.json"))] == list(names)


def test_a_folder_is_searched_for_the_formats_of_scanners_too(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "a.ndpi").write_text("not a slide")
    result = run(tiny_bundle, tmp_path / "slides", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "a.ndpi: " in result.stderr


def test_slides_that_are_done_are_not_done_again(
    tiny_bundle: Path, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = (slides / "a.tif", slides / "c.tif", "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        group_block = SlideTasks.group_block

        def interrupted(self: SlideTasks, number: int) -> None:
            if (tmp_path / "out" / "c").exists():
                raise KeyboardInterrupt
            group_block(self, number)

        patch.setattr(SlideTasks, "group_block", interrupted)
        assert run(tiny_bundle, *arguments).exit_code == 130
    before = (tmp_path / "out" / "a" / "labels.tif").stat()
    assert run(tiny_bundle, *arguments).exit_code == 0
    after = (tmp_path / "out" / "a" / "labels.tif").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert nuclei_in(tmp_path / "out" / "c") == 1


def test_the_folder_of_a_slide_stays_when_slides_are_added(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    (slides / "b.svs").unlink()
    assert run(tiny_bundle, slides, "--out", tmp_path / "out").exit_code == 0
    np.save(slides / "A.npy", np.zeros((40, 40), np.uint8))
    added = run(tiny_bundle, slides, "--out", tmp_path / "out")
    assert added.exit_code == 0, added.stderr
    assert folders_in(tmp_path / "out") == ["A.npy", "a", "c"]


def test_the_summary_of_slides_has_a_row_for_each_in_order(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    run(tiny_bundle, slides, "--out", tmp_path / "out")
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["file"]).name, row["nuclei"], row["results"]) for row in rows] == [
        ("a.tif", "2", "a"),
        ("b.svs", "", ""),
        ("c.tif", "1", "c"),
    ]
    assert float(rows[0]["median_area"]) > 50
    assert "b.svs" in rows[1]["error"]


@pytest.mark.parametrize(("least", "is_empty"), [(20, False), (10_000, True)])
def test_a_slide_whose_nuclei_are_all_dropped_has_no_expected_accuracy(
    slides: Path, tmp_path: Path, least: int, is_empty: bool
) -> None:
    (slides / "b.svs").unlink()
    run(Path("embedded"), slides, "--out", tmp_path / "out", "--min-area", least)
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["nuclei"] == "0" for row in rows] == [is_empty] * 2
    assert [row["expected_msa"] == "" for row in rows] == [is_empty] * 2


def test_what_is_passed_over_in_a_folder_of_slides_is_counted(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    (slides / "b.svs").unlink()
    for name in ("._a.tif", "d.oir", "e.dcm"):
        (slides / name).write_bytes(b"content")
    (slides / "link").symlink_to(slides)
    result = run(tiny_bundle, slides, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    for told in ("1 hidden", "1 .oir, to be converted", "1 .dcm in several files", "1 links to a folder above"):
        assert told in result.stderr
    assert "._a.tif" not in result.stderr
    assert "._a.tif" in run(tiny_bundle, slides, "--out", tmp_path / "out", "--verbose").stderr


def test_a_file_in_place_of_the_output_folder_is_told_first(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for images in (slides, slides / "a.tif"):
        result = run(tiny_bundle, images, "--out", tmp_path / "out")
        assert "expected a folder for results, got a file" in str(result.exception)


def test_one_slide_leaves_its_results_in_the_folder_itself(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    assert run(tiny_bundle, slides / "a.tif", "--out", tmp_path / "out").exit_code == 0
    assert nuclei_in(tmp_path / "out") == 2


def test_slides_of_one_name_get_folders_of_their_own(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    np.save(slides / "a.npy", np.zeros((40, 40), np.uint8))
    assert run(tiny_bundle, slides / "a.tif", slides / "a.npy", "--out", tmp_path / "out").exit_code == 0
    assert (nuclei_in(tmp_path / "out" / "a.tif"), nuclei_in(tmp_path / "out" / "a.npy")) == (2, 0)


def test_a_slide_named_as_a_folder_of_others_keeps_out_of_it(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    (slides / "b.svs").unlink()
    (slides / "a").mkdir()
    (slides / "c.tif").rename(slides / "a" / "x.tif")
    for images in ((slides,), (slides / "a.tif", slides)):
        out = tmp_path / f"out{len(images)}"
        result = run(tiny_bundle, *images, "--out", out)
        assert result.exit_code == 0, result.stderr
        assert [str(path.parent.relative_to(out)) for path in sorted(out.rglob("summary.json"))] == ["a/x", "a.tif"]


def test_a_folder_without_slides_is_said(tiny_bundle: Path, tmp_path: Path) -> None:
    result = run(tiny_bundle, tmp_path, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "no image found in" in str(result.exception)


def test_shards_are_done_and_merged_by_the_same_command(tiny_bundle: Path, slides: Path, tmp_path: Path) -> None:
    command = (slides / "a.tif", slides / "c.tif", "--out", tmp_path / "out", "--tile", 104, "--block", 30)
    first = run(tiny_bundle, *command, "--shard", "1/2")
    assert first.exit_code == 0
    assert "shard 1/2 is done" in first.stdout
    early = run(tiny_bundle, *command, "--merge")
    assert early.exit_code == 1
    assert early.stderr.count("those of shards: 2/2.") == 2
    assert run(tiny_bundle, *command, "--shard", "2/2").exit_code == 0
    assert run(tiny_bundle, *command, "--merge").exit_code == 0
    assert (nuclei_in(tmp_path / "out" / "a"), nuclei_in(tmp_path / "out" / "c")) == (2, 1)


def test_results_in_the_folder_that_is_searched_are_not_taken_for_slides(
    tiny_bundle: Path, slides: Path, tmp_path: Path
) -> None:
    (slides / "b.svs").unlink()
    for out in (slides / "results", slides / "results", slides, slides):
        result = run(tiny_bundle, slides, "--out", out)
        assert result.exit_code == 0, result.stderr
        assert "3 nuclei in 2 slides" in result.stdout


def test_an_empty_name_is_not_taken_for_the_folder_one_is_in(
    tiny_bundle: Path, slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(slides)
    result = run(tiny_bundle, "", "--out", tmp_path / "out")
    assert "images: expected a path, got an empty one" in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "three"], "shard: expected something like 3/20, got three"),
        (["--shard", "1/2", "--merge"], "give one of --shard, --merge and --scheduler"),
        (["--threshold", 2], "threshold: expected a probability of 0 to 1"),
        (["--block", 1], "block: expected a whole number of at least 16"),
    ],
)
def test_options_are_refused_before_the_first_slide(
    tiny_bundle: Path, slides: Path, tmp_path: Path, options: list[Any], message: str
) -> None:
    result = run(tiny_bundle, slides, "--out", tmp_path / "out", *options)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
