"""The database that machines share a study through: they take turns, and signs of life tell a dead one from a slow."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING

from nucleus_unet.errors import DatabaseError, SettingsError
from nucleus_unet.extras import require
from nucleus_unet.tuning.trials import fail_silent, queue_dead

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import RDBStorage
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database that keeps studies.

    Attributes
    ----------
    url
        As in ``postgresql://user@host/name``. A password is better left to ``~/.pgpass`` or ``PGPASSWORD``: others can
        see a command line.
    study
        Name of the study; None for that of the folder of the call.
    heartbeat
        Every so many seconds a trial gives a sign of life.
    patience
        A trial that has given none for so many seconds is failed, and its settings are queued again.
    """

    url: str = field(repr=False)
    study: str | None = None
    heartbeat: int = 30
    patience: int = 150

    def __post_init__(self) -> None:
        if not self.url.startswith("postgresql://"):
            kind = self.url.partition(":")[0]  # the rest may hold a password
            raise SettingsError(f"storage: expected postgresql://user@host/database, got {kind}:...")
        if not 0 < self.heartbeat < self.patience:
            raise SettingsError(
                f"expected a patience of more than the heartbeat's seconds, got {self.patience} and {self.heartbeat}"
            )


def open_database(database: Database) -> RDBStorage:
    """Connect to a database; tables are made if missing.

    Raises
    ------
    MissingExtraError
        psycopg is missing.
    SettingsError
        The URL cannot be read.
    DatabaseError
        The database cannot be reached.
    """
    require("psycopg", "PostgreSQL needs psycopg", extra="postgres")
    import sqlalchemy
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import RDBStorage

    try:
        # By its name, as SQLAlchemy before 2.1 takes another driver.
        url = sqlalchemy.make_url(database.url).set(drivername="postgresql+psycopg")
    except sqlalchemy.exc.ArgumentError as error:
        raise SettingsError("storage: expected postgresql://user@host/database") from error
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    # In turn: machines that start together would all make the tables, and all but one would fail.
    with errors_for_people(), taking_turns(engine), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"pool_pre_ping": True},
            heartbeat_interval=database.heartbeat,
            grace_period=database.patience,
            heartbeat_stale_trial_callback=queue_dead,
        )


@contextmanager
def taking_turns(engine: Engine) -> Iterator[None]:
    """Keep the other machines waiting for a moment; the server lets go of it when this one dies."""
    import sqlalchemy

    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext('nucleus-unet'))"))
        yield


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn what a database driver raises into `DatabaseError`."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        cause = getattr(error, "orig", None) or error.__cause__ or error
        what = str(cause).strip().partition("\n")[0]
        raise DatabaseError(
            f"the database of the study could not be used ({what}): the same command goes on with the study"
        ) from error


class Sharing:
    """What it takes to share a study: a thread gives signs of life for the trials of this process.

    It also looks for trials that give none, and fails them; see `queue_dead`.

    Parameters
    ----------
    study, storage
        The study, and where it is kept.
    """

    def __init__(self, study: Study, storage: RDBStorage) -> None:
        self._study, self._storage = study, storage
        self._running: set[int] = set()
        self._over = Event()
        self._thread = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Sharing:
        self._look_for_the_dead()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def turn(self) -> AbstractContextManager[None]:
        """Keep the other machines from beginning a trial."""
        return taking_turns(self._storage.engine)

    def add(self, trial: Trial) -> None:
        """Give signs of life for a trial; the first at once, as nobody misses one that never gave any."""
        self._storage.record_heartbeat(trial._trial_id)
        self._running.add(trial._trial_id)

    def drop(self, trial: Trial) -> None:
        """Give no more of them."""
        self._running.discard(trial._trial_id)

    def _beat(self) -> None:
        while not self._over.wait(self._storage.heartbeat_interval):
            try:
                with errors_for_people():
                    # Its own first: a machine that slept would take itself for dead.
                    for trial in tuple(self._running):
                        self._storage.record_heartbeat(trial)
                    self._look_for_the_dead()
            except DatabaseError as error:
                logger.warning("no sign of life was given: %s", error)

    def _look_for_the_dead(self) -> None:
        # In turn: nobody begins a new trial in the stead of one that is failed, and not yet queued again.
        with self.turn():
            fail_silent(self._study)
