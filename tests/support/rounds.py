"""Long work that goes on all the time, and the workers that are killed at it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from random import Random
from typing import Any

from sqlalchemy import select, update

from registry_ui.audit import Actor
from registry_ui.db.session import db, writing
from registry_ui.garbage_collection import service as garbage_collection
from registry_ui.jobs.queue import enqueue
from registry_ui.models import GarbageCollection, Move, Place, Removal, RetentionPolicy, utc_now
from registry_ui.models.move import ACTIVE
from registry_ui.moves import service as moves
from registry_ui.moves.planner import plan_place
from registry_ui.removals import runner
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules

from . import impatient_worker
from .crowd import IMAGES, LONGEST
from .ledger import Ledger, Renamed
from .stack import ADMIN, Stack
from .worker_processes import end_worker, start_worker

#: Kinds of jobs, and the state in which one ends.
KINDS: dict[str, tuple[type[Any], str]] = {
    "removal": (Removal, "done"),
    "move": (Move, "grace"),
    "collection": (GarbageCollection, "done"),
}
BY = Actor(ADMIN)


class Workers:
    """The worker, and the next one, which is loaded already and waits for its turn."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.now, self.next = self._load(), self._load()
        self._begin()

    def kill(self) -> None:
        """End the worker by kill -9."""
        process, begin = self.now
        end_worker(process)
        begin.close()

    def follow(self) -> None:
        """Let the next one begin."""
        self.now, self.next = self.next, self._load()
        self._begin()

    def close(self) -> None:
        """End both, and stay alone."""
        for process, begin in (self.now, self.next):
            end_worker(process)
            begin.close()

    def _begin(self) -> None:
        self.now[1].send("go")

    def _load(self) -> tuple[BaseProcess, Connection]:
        """Start a worker; return it and the connection by which it is let begin."""
        theirs, ours = multiprocessing.Pipe(duplex=False)
        with theirs:
            process = start_worker(
                impatient_worker.main,
                LONGEST,
                theirs,
                environ=self.stack.environ("worker"),
                log=self.stack.config.var / "worker.log",
            )
        return process, ours


class Jobs:
    """Rounds of three: a policy at one project, a rename of the other, a collection."""

    def __init__(
        self, stack: Stack, ledger: Ledger, projects: list[Renamed], random: Random
    ) -> None:
        self.stack, self.ledger, self.random = stack, ledger, random
        self.projects = list(projects)
        self.rounds = 0
        #: What is to begin still, of this round.
        self.due: list[Callable[[], None]] = []
        with stack.app.app_context():
            rules = Rules(keep_matching="base", keep_last=6)
            self.policies = [_policy(_place(one), rules) for one in projects]

    def next_round(self) -> None:
        """Think of the next three; the two projects change places."""
        one, other = self.projects
        policy = self.policies[0]
        self.due = [lambda: self.run_policy(one, policy), lambda: self.rename(other)]
        self.random.shuffle(self.due)
        # Not first: during its write freeze the others would only wait.
        self.due.insert(self.random.randrange(2), collect)
        self.projects.reverse()
        self.policies.reverse()
        self.rounds += 1

    def begin(self) -> None:
        """Begin the last of those that are due."""
        with self.stack.app.app_context():
            self.due.pop()()

    def run_policy(self, project: Renamed, policy: int) -> None:
        """Let tags go, every other time by way of the trash."""
        trash_days = 7 * (self.rounds % 2)
        self.stack.app.config["SETTINGS"] = replace(self.stack.config, trash_days=trash_days)
        removal = retention.run(BY, policy)
        assert removal is not None, "a policy can't begin"
        for image in IMAGES:
            here = f"{project.path}/{image}"
            steps = [s for s in removal.plan if s.kind == "tag" and s.repository == here]
            assert steps, "a policy finds nothing"
            self.ledger.remove(project, image, [(s.tag, s.digest) for s in steps])
        enqueue("run_removal", removal.id)

    def rename(self, project: Renamed) -> None:
        """Give a project another name."""
        place = _place(project)
        target = f"{project.names[0]}-{len(project.names)}"
        planned = moves.save_plan(BY, plan_place(place, target), place)
        moves.confirm(BY, planned.id)
        enqueue("run_move", planned.id)

    def look(self) -> bool:
        """Do what the schedule does, note new names, and tell whether nothing is under way."""
        with self.stack.app.app_context():
            enqueue("resume")
            for move in db.session.scalars(select(Move).where(Move.state == "grace")):
                for project in self.projects:
                    if project.path == move.source:
                        project.names.append(move.target)
            under_way = (
                select(Removal.id).where(Removal.state.in_(["waiting", "running"])),
                select(Move.id).where(Move.state.in_(ACTIVE)),
                select(GarbageCollection.id).where(GarbageCollection.slot == 1),
            )
            return all(db.session.scalar(query) is None for query in under_way)

    def held(self) -> bool:
        """Whether the worker is at any of them."""
        with self.stack.app.app_context():
            owners = (select(m.id).where(m.lease_owner.is_not(None)) for m, _ in KINDS.values())
            return any(db.session.scalar(query) is not None for query in owners)

    def states(self) -> dict[tuple[str, int], str]:
        """Return the state of every job."""
        with self.stack.app.app_context():
            queries = {kind: select(model.id, model.state) for kind, (model, _) in KINDS.items()}
            return {
                (kind, number): state
                for kind, query in queries.items()
                for number, state in db.session.execute(query)
            }

    def let_go(self) -> list[str]:
        """Let the leases of the dead worker run out; return what it was at: kinds and states."""
        hit = []
        with self.stack.app.app_context(), writing() as session:
            for kind, (model, _) in KINDS.items():
                held = model.lease_owner.is_not(None)
                hit += [
                    f"{kind} {state}" for state in session.scalars(select(model.state).where(held))
                ]
                session.execute(
                    update(model)
                    .where(held)
                    .values(lease_until=utc_now(), lease_owner=None)
                    .execution_options(synchronize_session=False)
                )
        return hit

    def require_good(self) -> None:
        """All have ended, and none badly."""
        with self.stack.app.app_context():
            for kind, (model, good) in KINDS.items():
                for row in db.session.scalars(select(model)):
                    assert row.state == good, f"{kind} {row.id} {row.state}: {_problem(row)}"


def collect() -> None:
    """Collect garbage."""
    enqueue("run_collection", garbage_collection.begin(BY, dry_run=False).id)


def _place(project: Renamed) -> Place:
    return db.session.scalars(select(Place).where(Place.path == project.path)).one()


def _policy(place: Place, rules: Rules) -> int:
    """Keep a policy that is on, as after a dry run; of itself it has no turn today."""
    number = retention.save(BY, place, rules).id
    with writing() as session:
        policy = session.get_one(RetentionPolicy, number)
        policy.dry_run_fingerprint = rules.fingerprint
        policy.is_enabled, policy.last_run_at = True, utc_now()
    return number


def _problem(row: Any) -> str:
    if isinstance(row, Removal):
        return "; ".join(f"{line.reference}: {line.detail}" for line in runner.lines_of(row, 3))
    return str(row.problem)
