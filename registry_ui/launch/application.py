"""Preparation of the database: tables, first administrator, registry token, and first project.

The registry token is the secret with which the registry sends its notifications.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flask_migrate import upgrade
from sqlalchemy import delete, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from config import Config
from registry_ui import create_app
from registry_ui.accounts import service as accounts
from registry_ui.audit import CONSOLE
from registry_ui.db.session import db, writing
from registry_ui.errors import AppError, Conflict, Invalid
from registry_ui.events import registry_token
from registry_ui.jobs.queue import WORKER
from registry_ui.models import Heartbeat, Project, User
from registry_ui.projects import service as projects

from ..files import write_private
from . import LaunchError

FIRST_PROJECT = "hello"


@dataclass(frozen=True, slots=True)
class Prepared:
    """The result of prepare(): the values that the summary of ``make run`` shows.

    Attributes:
        registry_token: the current registry token.
        administrator: the user name to show for signing in.
        password: the administrator's password if it was generated and not shown yet, else None.
        project: the path of the project for a first image.
        project_exists: whether ``project`` exists; its owner can have deleted it since.
    """

    registry_token: str = field(repr=False)
    administrator: str
    password: str | None = field(repr=False)
    project: str
    project_exists: bool


def prepare(config: Config, password: str | None) -> Prepared:
    """Migrate the database, create the rows that the first start needs, and return the result.

    Args:
        config: the settings of this run.
        password: the password for the first administrator; None to generate one.

    Raises:
        LaunchError: the database, the administrator's user name, or the password can't be used.
    """
    try:
        app = create_app(config)
        with app.app_context():
            upgrade(directory=app.extensions["migrate"].directory)
            prepared = _prepare(config, password)
            db.session.remove()
            db.engine.dispose()
    except AppError as error:
        reasons = error.errors.values() if isinstance(error, Invalid) else ()
        raise LaunchError(" ".join((error.message, *reasons))) from None
    except SQLAlchemyError as error:
        address = make_url(config.database_url).render_as_string(hide_password=True)
        reason = str(getattr(error, "orig", None) or error).strip()
        raise LaunchError(f"the database {address} cannot be used: {reason}") from error
    return prepared


def forget_first_start(config: Config) -> None:
    """Record that the first start is over, and delete the stored copy of the shown password."""
    _first_start_file(config).unlink(missing_ok=True)


def _prepare(config: Config, password: str | None) -> Prepared:
    # Treat every start as the first until the password was printed, so that the password is shown
    # again after an interrupted start.
    first_start = _first_start_file(config)
    if new_password := accounts.ensure_first_administrator(config.admin_username, password):
        write_private(first_start, "" if password else new_password)
    administrator = _find_administrator(config.admin_username)
    project = f"{administrator}/{FIRST_PROJECT}"
    if first_start.exists():
        with suppress(Conflict):
            projects.create_project(CONSOLE, project, visibility="private")
    with writing() as session:
        # A heartbeat of the previous run says nothing about the worker of this run.
        session.execute(delete(Heartbeat).where(Heartbeat.name == WORKER))
        project_id = session.scalar(select(Project.id).where(Project.path == project))
    return Prepared(
        registry_token=registry_token.ensure(),
        administrator=administrator,
        password=(first_start.read_text() or None) if first_start.exists() else None,
        project=project,
        project_exists=project_id is not None,
    )


def _first_start_file(config: Config) -> Path:
    return config.var / "first_start"


def _find_administrator(preferred: str) -> str:
    """Return the user name of the administrator to show.

    Args:
        preferred: the user name to return if it is an active administrator's, or if there is no
            active administrator. Otherwise the oldest active administrator's name is returned.
    """
    query = select(User.username).where(User.is_admin, ~User.is_blocked).order_by(User.id)
    names = list(db.session.scalars(query))
    return preferred if preferred in names or not names else names[0]
