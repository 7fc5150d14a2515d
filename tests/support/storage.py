"""The two pairs of storage that everything is tested on."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import flask_migrate
import psycopg

from config import ROOT, Config, normalized_database_url
from registry_ui import create_app
from registry_ui.db.session import db
from registry_ui.launch import keys

from .processes import free_port, start_postgres, start_redis

PAIRS = ("sqlite", "postgresql")


#: A database that has grown beyond this, in bytes, is not worth emptying.
LARGE = 40_000_000

#: One statement that empties every table and restarts every sequence. Truncating sixty tables
#: makes hundreds of files; deleting the few rows of a test makes none.
EMPTY = """
DO $$
DECLARE it record;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR it IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  LOOP EXECUTE format('DELETE FROM %I', it.tablename); END LOOP;
  FOR it IN SELECT sequencename FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL
  LOOP EXECUTE format('ALTER SEQUENCE %I RESTART', it.sequencename); END LOOP;
END $$
"""
OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
#: Tables that were made anew have a higher number than those of the template.
STATE = (
    "SELECT (SELECT max(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace),"
    " pg_database_size(current_database())"
)


@dataclass
class Storage:
    """Makes fresh, migrated databases quickly: by copying one that was migrated once."""

    name: str
    home: Path
    template: Config
    redis_url: str | None = None
    admin_url: str = ""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    newest_table: int = 0
    #: Numbers of databases that are empty again.
    empty: list[int] = field(default_factory=list)

    def new_database(self, home: Path) -> tuple[str, str | None]:
        """Return (database URL, Redis URL or None) of an empty, migrated database."""
        if self.name == "sqlite":
            target = home / f"test{next(self.numbers)}.sqlite"
            shutil.copy(self.home / "template.sqlite", target)
            return f"sqlite:///{target}", None
        if self.empty:
            number = self.empty.pop()
        else:
            number = next(self.numbers)
            with psycopg.connect(self.admin_url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE test{number} TEMPLATE template_migrated")
        assert self.redis_url is not None
        redis = self.redis_url.rpartition("/")[0] + f"/{number % 16}"
        return self._url(f"test{number}"), redis

    def give_back(self, url: str) -> None:
        """Empty a database that new_database() made, or drop it; a file goes with its folder."""
        if self.name == "sqlite":
            return
        name = url.rpartition("/")[2]
        with psycopg.connect(self._url(name), autocommit=True) as connection:
            connection.execute(OTHERS)
            newest, size = connection.execute(STATE).fetchone()  # type: ignore[misc]
            is_kept = newest == self.newest_table and size < LARGE
            if is_kept:
                connection.execute(EMPTY)
        if is_kept:
            self.empty.append(int(name.removeprefix("test")))
            return
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return f"{self.admin_url.rpartition('/')[0]}/{name}"


def template(var: Path) -> Config:
    """Return settings with real keys under ``var``; no server behind the addresses."""
    keys.ensure_secret_key(var / "secret_key")
    keys.ensure_signing_key(var / "token" / "key.pem", var / "token" / "certificate.pem")
    settings = Config.from_environ(
        {
            "REGISTRY_UI_VAR": str(var),
            "REGISTRY_UI_PORT": str(free_port()),
            "REGISTRY_UI_REGISTRY_PORT": str(free_port()),
            "REGISTRY_UI_TRASH_DAYS": "0",
        }
    )
    return replace(settings, testing=True)


@contextmanager
def prepared(name: str, home: Path, template: Config) -> Iterator[Storage]:
    """Start what the pair needs, migrate the template database, and stop it all at the end."""
    with ExitStack() as stack:
        if name == "sqlite":
            migrate(template, f"sqlite:///{home / 'template.sqlite'}")
            yield Storage(name, home, template)
            return
        # Not below pytest's own folders: those are root's alone, and made so again and again.
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="registry_ui-"))
        postgres, admin = start_postgres(Path(place))
        stack.callback(postgres.stop)
        redis, redis_url = start_redis(home / "redis")
        stack.callback(redis.stop)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute("CREATE DATABASE template_migrated")
        url = admin.rpartition("/")[0] + "/template_migrated"
        migrate(template, url)
        with psycopg.connect(url) as connection:
            newest, _ = connection.execute(STATE).fetchone()  # type: ignore[misc]
        yield Storage(name, home, template, redis_url, admin, newest_table=newest)


def migrate(template: Config, url: str) -> None:
    """Run the migrations, as ``make run`` does."""
    app = create_app(replace(template, database_url=normalized_database_url(url)))
    with app.app_context():
        flask_migrate.upgrade(str(ROOT / "migrations"))
        if db.engine.dialect.name == "sqlite":
            with db.engine.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        db.session.remove()
        db.engine.dispose()
