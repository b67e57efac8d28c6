from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from helpers.slide_results import written
from nucleus_unet import view
from nucleus_unet.errors import SettingsError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a browser was told to open."""
    urls: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: urls.append(url) or True)
    monkeypatch.setattr("sys.platform", "linux")
    return urls


def test_the_page_is_opened_where_there_are_windows(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    with view(written(tmp_path / "out").folder, open_browser=True) as viewer:
        assert opened == [viewer.url]


@pytest.mark.skipif("os.name == 'nt'", reason="Windows has windows")
def test_no_browser_takes_over_a_terminal(tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with view(written(tmp_path / "out").folder, open_browser=True):
        assert opened == []


def test_a_notebook_shows_a_link(tmp_path: Path) -> None:
    with view(written(tmp_path / "out").folder) as viewer:
        assert f'href="{viewer.url}"' in viewer._repr_html_()
        assert str(viewer) == viewer.url


def test_a_path_is_a_path() -> None:
    with pytest.raises(SettingsError, match="folder: expected a path"):
        view(3)  # type: ignore[arg-type]
