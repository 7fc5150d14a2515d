"""Long work in the hands of one worker: held, written to, heeded when it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from ..audit import Actor, record
from ..db.session import db, release, writing
from ..distribution.errors import RegistryUnavailable
from ..models import Copy, CopyLine, Removal, RemovalLine, Work, utc_now
from .write_freeze import fenced

AnyWork = TypeVar("AnyWork", bound=Work)
#: The report of each kind of work.
LINES: dict[type[Work], Any] = {Removal: RemovalLine, Copy: CopyLine}

#: A worker holds its work so long from its last sign; then another may go on.
LEASE = timedelta(seconds=30)
#: Seconds between two signs that the worker is still at it.
SIGN_SECONDS = 5.0


#: Seconds for which a worker waits for a registry that is silent, before the work is left for
#: later; and the longest pause between two attempts.
PATIENCE, LONGEST_PAUSE = 60.0, 5.0
#: Seconds of the first pause, and from how many on the report tells of a wait.
FIRST_PAUSE, WORTH_TELLING = 0.5, 1.0
#: How long work waits for a registry that does not answer, over all its workers. Then it ends as
#: failed, because nobody expects it to continue days later.
STALL_LIMIT = timedelta(hours=24)
#: What a page says while work waits.
SILENT = "The registry does not answer ({}). This goes on when it does."


class LeaseLost(Exception):
    """Another worker has the work by now; this one must not write any more."""


class Cancelled(Exception):
    """Somebody cancelled the work: nothing more is to be done."""


class Stopped(Exception):
    """A fence stands: the work goes on once it is lifted."""


class Stalled(Exception):
    """The registry is silent for too long: the work goes on later. The message is for its page."""

    def __init__(self, error: RegistryUnavailable) -> None:
        super().__init__(SILENT.format(error))
        self.error = error


@dataclass(slots=True)
class Silence:
    """How long a worker has waited for a registry that does not answer."""

    since: float | None = None
    _pause: float = 0.0

    def wait(self, patience: float) -> bool:
        """Pause before the next attempt, each time for longer; return False after too long."""
        now = time.monotonic()
        if self.since is None:
            self.since, self._pause = now, FIRST_PAUSE
        left = self.since + patience - now
        if left <= 0:
            return False
        time.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True

    def end(self) -> float:
        """Note that it answers; return for how many seconds it was waited for."""
        since, self.since = self.since, None
        return 0.0 if since is None else time.monotonic() - since


@dataclass(slots=True)
class Lease(Generic[AnyWork]):
    """Work in the hands of one worker, until it is silent for too long."""

    work: AnyWork
    owner: str
    #: A fence that does not count: that of whoever needs the work.
    but: int | None = None
    #: Seconds for which a registry that is silent is waited for.
    patience: float = PATIENCE
    #: What a step saw and the steps after it may rely on for a moment.
    looks: dict[str, Any] = field(default_factory=dict)
    _at: str = ""
    _silence: Silence = field(default_factory=Silence)
    _waited: float = 0.0
    _is_deaf: bool = False
    _last_sign: float = field(default_factory=time.monotonic)

    def hold(self) -> None:
        """Give a sign, at most one in a few seconds: it can be called before every call.

        Raises:
            LeaseLost: it is somebody else's by now.
            Cancelled: somebody cancelled it.
            Stopped: a fence stands by now.
        """
        if time.monotonic() - self._last_sign >= SIGN_SECONDS:
            with writing() as session:
                self._write(session)
            self._last_sign = time.monotonic()
            if not self._is_deaf:
                self.heed(self._at)

    def wait_for_registry(self, error: RegistryUnavailable) -> None:
        """Pause before a call that failed is made again, each time for longer.

        Raises:
            Stalled: it was silent for too long.
            LeaseLost, Cancelled, Stopped: as hold().
        """
        if self._silence.since is None:
            self._note_silence(SILENT.format(error))
        if not self._silence.wait(self.patience):
            raise Stalled(error)
        self.hold()

    def _note_silence(self, problem: str) -> None:
        """Show on the page that it waits; the time counts from the first worker's wait."""
        with writing() as session:
            since = self.work.stalled_since or utc_now()
            self._write(session, problem=problem, stalled_since=since)

    @property
    def is_out_of_patience(self) -> bool:
        """Whether it has waited for the registry for longer than anyone expects."""
        since = self.work.stalled_since
        return since is not None and utc_now() - since >= STALL_LIMIT

    def note_answer(self) -> None:
        """Note that the registry answers, and how long it was waited for."""
        self._waited += self._silence.end()
        if self.work.stalled_since is not None:
            with writing() as session:
                self._write(session, problem="", stalled_since=None)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Bring something to its end, whatever is wished meanwhile; only for what is short."""
        self._is_deaf = True
        try:
            yield
        finally:
            self._is_deaf = False

    def heed(self, repository: str) -> None:
        """Begin or go on with a step in a repository, unless something is against it.

        Raises:
            Cancelled: somebody wished that before the last sign.
            Stopped: a fence stands over the repository.
        """
        if self.work.cancel_wanted:
            raise Cancelled
        self._at = repository
        fence = fenced(db.session(), repository, but=self.but)
        release()
        if fence is not None:
            raise Stopped

    def prepare(self, number: int, step: dict[str, Any], placeholder: str) -> None:
        """Keep what is about to be pushed for a step of a removal: it is known as ours."""
        with writing() as session:
            self._write(session)
            self._line(session, number, step).placeholder = placeholder

    def prepared(self, session: Session, number: int) -> str | None:
        """Return what was last prepared for a step."""
        line = session.get(RemovalLine, (self.work.id, number))
        return line.placeholder if line else None

    def meanwhile(self, deed: Callable[[Session], None]) -> None:
        """Write something that belongs to the present step; LeaseLost writes nothing."""
        with writing() as session:
            self._write(session)
            deed(session)
        self._last_sign = time.monotonic()

    def note(self, number: int, step: dict[str, Any], outcome: str, detail: str) -> None:
        """Keep a step's outcome, and how long the registry was waited for."""
        self.note_answer()
        if self._waited >= WORTH_TELLING:
            waited = f"waited {self._waited:.0f} s for the registry"
            detail = f"{detail}; {waited}" if detail else waited
        self._waited = 0.0
        with writing() as session:
            self._write(session, done=number + 1, problem="")
            line = self._line(session, number, step)
            line.outcome, line.detail = outcome, detail
        self._last_sign = time.monotonic()

    def wait(self, problem: str = "") -> None:
        """Let go of it, for whoever looks for work later.

        Args:
            problem: what it waits for, for its page.
        """
        since = (self.work.stalled_since or utc_now()) if problem else None
        with writing() as session:
            self._write(
                session,
                state="waiting",
                problem=problem,
                stalled_since=since,
                lease_until=None,
                lease_owner=None,
            )

    def finish(self, state: str) -> None:
        """Say how it ended, and let go of it."""
        with writing() as session:
            self._write(
                session,
                state=state,
                problem="",
                stalled_since=None,
                finished_at=utc_now(),
                lease_until=None,
                lease_owner=None,
            )
            actor = Actor(self.work.requested_by)
            record(session, actor, f"{self.work.deed}.{state}", self.work.target)

    def _line(self, session: Session, number: int, step: dict[str, Any]) -> Any:
        model = LINES[type(self.work)]
        line = session.get(model, (self.work.id, number))
        if line is None:
            tag = step.get("tag")
            reference = f"{step['repository']}:{tag}" if tag else step["repository"]
            line = model(work_id=self.work.id, number=number, reference=reference, detail="")
            session.add(line)
        return line

    def _write(self, session: Session, **values: Any) -> None:
        """Change the work, and hold it for another while; LeaseLost changes nothing."""
        model = type(self.work)
        written = session.execute(
            update(model)
            .where(model.id == self.work.id, model.lease_owner == self.owner)
            .values({"lease_until": utc_now() + LEASE, **values})
            .execution_options(synchronize_session=False)
        )
        if not written.rowcount:  # type: ignore[attr-defined]
            raise LeaseLost
        fresh = ["state", "done", "cancel_wanted", "finished_at", "problem", "stalled_since"]
        session.refresh(self.work, fresh)
