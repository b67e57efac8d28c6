"""A PostgreSQL database through which machines share a study; heartbeats tell a dead machine from a slow one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nucleus_unet.errors import DatabaseError, SettingsError
from nucleus_unet.extras import require
from nucleus_unet.tuning.trials import MAX_RETRIES, experiments_allowed, retry

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy import Engine


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
        Seconds between two heartbeats of a trial.
    patience
        Seconds without a heartbeat after which a trial is failed and its settings are queued again.
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
    from optuna.storages import RDBStorage

    try:
        # By its name, as SQLAlchemy before 2.1 takes another driver.
        url = sqlalchemy.make_url(database.url).set(drivername="postgresql+psycopg")
    except sqlalchemy.exc.ArgumentError as error:
        raise SettingsError("storage: expected postgresql://user@host/database") from error
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    # In turn: machines that start together would all make the tables, and all but one would fail.
    with errors_for_people(), taking_turns(engine), experiments_allowed():
        return RDBStorage(
            url.render_as_string(hide_password=False),
            engine_kwargs={"pool_pre_ping": True},
            heartbeat_interval=database.heartbeat,
            grace_period=database.patience,
            heartbeat_stale_trial_callback=retry(max_retry=MAX_RETRIES),
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
    # The last: where the storage fails as a trial ends, Optuna 5.0 trips over a variable of its own.
    except (SQLAlchemyError, StorageInternalError, UnboundLocalError) as error:
        known: BaseException | None = error.__context__ if isinstance(error, UnboundLocalError) else error
        if not isinstance(known, SQLAlchemyError | StorageInternalError):
            raise
        cause = getattr(known, "orig", None) or known.__cause__ or known
        what = str(cause).strip().partition("\n")[0]
        raise DatabaseError(
            f"the database of the study could not be used ({what}): the same command goes on with the study"
        ) from error
