"""Studies that machines share through PostgreSQL: a server of the test's own, and machines that are processes."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from helpers.paths import TESTS
from helpers.studies import (
    EXAMPLES,
    PATIENCE,
    SPACE,
    TINY,
    KillerJob,
    PlayedJob,
    begun,
    play,
    rows,
    run,
    wait_until,
)
from nucleus_unet.errors import DatabaseError, MissingExtraError, SettingsError
from nucleus_unet.tuning import Database, Space
from nucleus_unet.tuning.database import open_database, taking_turns
from nucleus_unet.tuning.search_space import Range
from nucleus_unet.tuning.study_runner import StudyRunner
from nucleus_unet.tuning.trials import open_study

PATHS = os.pathsep.join(
    [os.environ["PATH"], *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
)


class Server:
    """A new PostgreSQL server on this machine alone."""

    def __init__(self, folder: Path) -> None:
        # It refuses to run as root, and another user could not enter pytest's own folders.
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._folder = folder
        if os.geteuid() == 0:
            shutil.chown(folder, self._user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"postgresql://tester@127.0.0.1:{self._port}/postgres"
        prepare = ["initdb", "-D", folder / "data", "-U", "tester", "--auth=trust", "--no-sync", "--locale=C"]
        self._start(*prepare, "-E", "UTF8").wait(PATIENCE)
        self.start()

    def start(self) -> None:
        serve = ["postgres", "-D", self._folder / "data", "-h", "127.0.0.1", "-p", str(self._port)]
        self._process = self._start(*serve, "-k", self._folder, "-F")
        wait_until(self._answers)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE)

    def new_database(self, name: str) -> str:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.removesuffix("postgres") + name

    def _start(self, name: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        command = [str(shutil.which(name, path=PATHS)), *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, user=self._user, cwd=self._folder, stdout=quiet, stderr=quiet)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if shutil.which("initdb", path=PATHS) is None or shutil.which("postgres", path=PATHS) is None:
        pytest.skip("there is no PostgreSQL server to start")
    folder = Path(tempfile.mkdtemp(prefix="nucleus-unet-"))
    started = Server(folder)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder)


SCRIPT = """
import sys
from pathlib import Path
import pytest
from nucleus_unet.tuning import Database
from helpers.studies import StuckAtThirdJob, play, run

if __name__ == "__main__":
    url, folder = sys.argv[1], Path(sys.argv[2])
    with pytest.MonkeyPatch.context() as patch:
        play(patch, folder / "scene", StuckAtThirdJob)
        run(folder / "first", trials=5, database=Database(url, "shared", heartbeat=1, patience=3))
"""


def test_the_trial_of_a_killed_machine_is_run_by_another_and_finished_ones_stay(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, tmp_path / "script.py", server.url, tmp_path]
    first = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    scene = tmp_path / "scene"
    wait_until(lambda: ((scene / "begun").exists() and len(begun(scene)) == 3) or first.poll() is not None)
    before = rows(tmp_path / "first")

    play(monkeypatch, scene, KillerJob)
    best = run(tmp_path / "second", trials=5, database=Database(server.url, "shared", heartbeat=1, patience=3))
    assert first.wait(PATIENCE) == -signal.SIGKILL
    after = rows(tmp_path / "second")
    assert after[:2] == before[:2]
    assert [row["state"] for row in before[:2]] == ["complete"] * 2
    assert sorted(row["state"] for row in after) == ["complete"] * 5 + ["cut off"]
    assert after[2]["state"] == "cut off"
    assert after[2]["dropout"] in {row["dropout"] for row in after[3:]}
    assert best["settings"]["dropout"] == max(float(row["dropout"]) for row in after if row["state"] == "complete")


def test_machines_that_were_given_different_things_do_not_share_a_study(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, tmp_path / "scene", PlayedJob)
    run(tmp_path / "one" / "study", trials=1, database=Database(server.url))
    with pytest.raises(SettingsError, match=r"study 'study' of something else \(space differ\)"):
        run(
            tmp_path / "two" / "study", trials=2, space=Space({"dropout": Range(0, 0.1)}), database=Database(server.url)
        )
    EXAMPLES[0].labels[0, 0] += 1
    try:
        with pytest.raises(SettingsError, match=r"study 'study' of something else \(\S+ images differ\)"):
            run(tmp_path / "three", trials=2, database=Database(server.url, "study"))
    finally:
        EXAMPLES[0].labels[0, 0] -= 1


def test_machines_that_start_together_on_an_empty_database_share_one_study_and_its_budget(
    server: Server, tmp_path: Path
) -> None:
    database = Database(server.new_database("empty"))
    together = Barrier(6)
    job = PlayedJob(EXAMPLES, SPACE, TINY, folds=2, device="cpu", workers=0)
    job.scene = tmp_path

    def work(number: int) -> int:
        begun: list[int] = []
        together.wait()
        storage = open_database(database)
        with taking_turns(storage.engine):
            study = open_study(storage, "together", seed=None)
        StudyRunner(job, tmp_path / str(number), 9, None).run(study, begun.append)
        return len(begun)

    with ThreadPoolExecutor(6) as machines:
        assert sum(machines.map(work, range(6))) == 9


class UnpluggedJob(PlayedJob):
    """Loses the database in its second trial."""

    server: Server

    def play(self, name: str) -> None:
        if name == "1" and len(begun(self.scene)) == 2:
            UnpluggedJob.server.stop()


def test_a_study_whose_database_goes_away_can_be_gone_on_with(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, tmp_path / "scene", UnpluggedJob)
    monkeypatch.setattr(UnpluggedJob, "server", server, raising=False)
    database = Database(server.url, heartbeat=1, patience=3)
    try:
        with pytest.raises(DatabaseError, match="the same command goes on"):
            run(tmp_path / "unplugged", trials=3, database=database)
    finally:
        server.start()
    run(tmp_path / "unplugged", trials=3, database=database)
    assert sorted(row["state"] for row in rows(tmp_path / "unplugged")) == ["complete"] * 3 + ["cut off"]


def test_a_folder_does_not_mix_a_study_of_its_own_with_one_of_a_database(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, tmp_path / "scene", PlayedJob)
    run(tmp_path / "own", trials=1)
    with pytest.raises(SettingsError, match=r"storage differ"):
        run(tmp_path / "own", trials=2, database=Database(server.url))


def test_a_database_that_cannot_be_reached_is_a_plain_error(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, and not listening
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/none"
        with pytest.raises(DatabaseError, match="could not be used"):
            run(tmp_path / "out", trials=1, database=Database(url))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "mysql://host/name"}, "expected postgresql://"),
        ({"url": "postgresql://host/name", "heartbeat": 5, "patience": 5}, "patience of more"),
    ],
)
def test_a_database_of_no_use_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        Database(**options)


def test_without_psycopg_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"nucleus-unet\[postgres\]"):
        run(tmp_path / "out", trials=1, database=Database("postgresql://host/name"))
