"""Look at results in a browser: a server on this machine, and the page that it serves."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from pathlib import Path
from types import TracebackType
from typing import Self

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.paths import check_path
from nucleus_unet.viewer.results import find_results
from nucleus_unet.viewer.server import ResultServer


class Viewer:
    """A server of results that runs in the background. A context manager, which stops it.

    Parameters
    ----------
    server
        What it runs.

    Attributes
    ----------
    url
        What a browser on this machine opens. It holds a token: who has it sees the results.
    """

    def __init__(self, server: ResultServer) -> None:
        self._server, self.url = server, server.url
        self._thread = threading.Thread(target=server.serve_forever, name="nucleus-unet viewer", daemon=True)
        # The first result is opened while the browser starts.
        self._opening = threading.Thread(target=server.open_first, name="nucleus-unet viewer, opening", daemon=True)
        for each in (self._thread, self._opening):
            each.start()

    def stop(self) -> None:
        """Stop serving, and close all files. A second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._opening.join()
        self._server.server_close()
        self._server.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Viewer({self.url})"

    def __str__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        """Return a link, which notebooks show."""
        return f'<a href="{self.url}" target="_blank" rel="noopener">{self.url}</a>'


def view(folder: Path | str, *, image: Path | str | None = None, port: int = 0, open_browser: bool = False) -> Viewer:
    """Serve results to a browser on this machine, in the background.

    Parameters
    ----------
    folder
        Results of `Segmenter.predict_files`, of `Segmenter.predict` with ``out``, of `Segmenter.predict_slide`, or of
        the commands ``predict`` and ``slide``.
    image
        Where the image is now, if it was moved; for results of many images, the folder in which they are.
    port
        Number of the port; 0 takes a free one.
    open_browser
        Whether to open the page.

    Returns
    -------
    Viewer
        ``viewer.url`` is the address; ``viewer.stop()`` ends it.

    Raises
    ------
    SettingsError
        If the folder holds no results, or those of a run that is not finished; if the port is taken.
    DataError
        If what tells of the results is damaged.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nucleus_unet import Segmenter, view
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "a.npy", np.zeros((64, 64), np.uint8))
    >>> _ = Segmenter.from_pretrained().predict_files(folder, out=folder / "results", formats=["tif"])
    >>> with view(folder / "results") as viewer:
    ...     viewer.url.startswith("http://127.0.0.1:")
    True
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise SettingsError(f"port: expected 0 to 65535, got {port!r}")
    folder = check_path(folder, "folder")
    results = find_results(folder, image=None if image is None else check_path(image, "image"))
    viewer = Viewer(ResultServer(results, title=folder.resolve().name, port=port))
    if open_browser:
        open_in_browser(viewer.url)
    return viewer


def open_in_browser(url: str) -> bool:
    """Open an address, and return whether there is a browser with windows; others would take over the terminal."""
    has_windows = (
        os.name == "nt" or sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
    )
    return has_windows and webbrowser.open(url)
