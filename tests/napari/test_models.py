"""The list of models that can be chosen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from nucleus_unet.errors import SettingsError
from nucleus_unet.napari.models import ModelList, check_new_name


def test_bundles_of_a_folder_are_listed_after_the_embedded_model(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "mine")
    (tmp_path / "no model").mkdir()
    models = ModelList()
    models.add_folder(tmp_path)
    models.add_folder(tmp_path / "missing")
    assert models.names() == ["embedded", "small", "mine"]
    assert models.path("mine") == tmp_path / "mine"


def test_whoever_listens_hears_of_a_new_model_until_it_ends() -> None:
    models, heard = ModelList(), []
    forget = models.on_change(lambda: heard.append(models.names()))
    models.add(Path("a.zip"))
    forget()
    models.add(Path("b"))
    assert heard == [["embedded", "small", "a"]]


@pytest.mark.parametrize("name", ["", "../up", "a/b", "embedded", "small", ".hidden", "dot.", "a\\b", "con:"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="model: expected a name"):
        check_new_name(name, tmp_path)


def test_a_finished_model_is_not_overwritten(tiny_bundle: Path, tmp_path: Path) -> None:
    path = check_new_name("größe 2", tmp_path)
    shutil.copytree(tiny_bundle, path)
    with pytest.raises(SettingsError, match="holds a finished model"):
        check_new_name("größe 2", tmp_path)
