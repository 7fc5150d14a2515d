"""Pushes from four clients while policies, renames and collections go on, and workers are killed.

At the end the registry is compared with what should be there, tag by tag, digest by digest, blob
by blob. The moments are random: REGISTRY_UI_TEST_SEED repeats a run as far as a machine can.

What is cut short is waiting alone: a fence is quiet as soon as no client of this test uses a
bearer token from before it, a dead worker's lease runs out at its death, and what the schedule
does every minute is done several times a second.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select, update

from config import ROOT
from registry_ui.audit import Actor
from registry_ui.catalog import collections, retention
from registry_ui.catalog.moving import moves
from registry_ui.catalog.moving.plan import plan_place
from registry_ui.catalog.retention_rules import Rules
from registry_ui.demo.images import Manifest
from registry_ui.demo.push import ACCEPT
from registry_ui.distribution.manifest import PLACEHOLDER_ANNOTATION
from registry_ui.extensions import db, writing
from registry_ui.jobs import enqueue
from registry_ui.models import (
    BinnedTag,
    Collection,
    ContainerImage,
    Fence,
    Move,
    Place,
    Removal,
    Tag,
    utc_now,
)
from registry_ui.models.move import ACTIVE
from registry_ui.names import is_binned
from tests.support import registry as registries
from tests.support.crowd import BASE, IMAGES, LONGEST, Hasty, PushingHasty, PushingSkopeo
from tests.support.ledger import Ledger, Renamed
from tests.support.stack import ADMIN, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

KILLS = 20
#: So many more, until each kind of job was hit.
MORE_KILLS = 40
#: Of so many kills one is of the pages.
PAGES = 6
KINDS = {"removal": Removal, "move": Move, "collection": Collection}
#: The default storage with the one major version, the other with the other.
TOGETHER = [("sqlite", "2.8"), ("postgresql", "3")]
#: From so many seconds at work to so many: now and then long enough to bring something to its end.
LIVES = ((0.0, 1.0), (0.0, 1.0), (0.5, 2.0), (3.0, 8.0))
#: Seconds that a worker may need until it has something to do.
STARTS = 5.0
PLACE = "kills"
DEVELOPER = "developer"


class Workers:
    """The worker, and the next one, which is loaded already and waits for its turn."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.now, self.next = self._load(), self._load()
        self._begin()

    def kill(self) -> None:
        """End the worker by kill -9."""
        self.now.kill()
        self.now.wait(10)

    def follow(self) -> None:
        """Let the next one begin."""
        self.now, self.next = self.next, self._load()
        self._begin()

    def close(self) -> None:
        for process in (self.now, self.next):
            process.kill()
            process.wait(10)
            process.stdin.close()

    def _begin(self) -> None:
        with self.now.stdin:
            self.now.stdin.write(b"go\n")

    def _load(self) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "tests.support.impatient_worker", str(LONGEST)]
        with (self.stack.config.var / "worker.log").open("ab") as log:
            return subprocess.Popen(
                words,
                cwd=ROOT,
                env=self.stack.environ("worker"),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


class Jobs:
    """Rounds of three: a policy at one project, a rename of the other, a collection."""

    def __init__(self, stack: Stack, ledger: Ledger, projects: list[Renamed], random: Random):
        self.stack, self.ledger, self.random = stack, ledger, random
        self.projects = projects
        self.rounds = 0
        self.due: list[object] = []
        self.policies: dict[int, int] = {}
        with stack.app.app_context():
            for project in projects:
                place = db.session.scalars(select(Place).where(Place.path == project.path)).one()
                rules = Rules(keep_matching="base", keep_last=6)
                policy = retention.save(Actor(ADMIN), place, rules)
                self.policies[id(project)] = policy.id

    def next_round(self) -> None:
        """Settle what is over, and think of the next three; the two projects change places."""
        self.rounds += 1
        one, other = self.projects
        self.projects = [other, one]
        self.due = [lambda: self.run_policy(one), lambda: self.rename(other), self.collect]
        self.random.shuffle(self.due)

    def begin(self) -> None:
        """Begin one of those that are due."""
        with self.stack.app.app_context():
            self.due.pop()()

    def run_policy(self, project: Renamed) -> None:
        """Let tags go, every other time by way of the bin."""
        settings = replace(self.stack.config, bin_days=7 * (self.rounds % 2))
        self.stack.app.config["SETTINGS"] = settings
        removal = retention.run(Actor(ADMIN), self.policies[id(project)])
        assert removal is not None
        assert removal.total, "the policy finds nothing"
        for image in IMAGES:
            here = f"{project.path}/{image}"
            steps = [s for s in removal.plan if s["do"] == "tag" and s["repository"] == here]
            self.ledger.remove(project, image, [(s["tag"], s["digest"]) for s in steps])
        enqueue("run_removal", removal.id)

    def rename(self, project: Renamed) -> None:
        """Give a project another name."""
        target = f"{project.names[0]}-{len(project.names)}"
        place = db.session.scalars(select(Place).where(Place.path == project.path)).one()
        planned = moves.keep_plan(Actor(ADMIN), plan_place(place, target), place)
        moves.confirm(Actor(ADMIN), planned.id)
        enqueue("run_move", planned.id)

    def collect(self) -> None:
        """Collect garbage."""
        enqueue("run_collection", collections.begin(Actor(ADMIN), dry_run=False).id)

    def look(self) -> bool:
        """Do what the schedule does, note new names, and tell whether all is over."""
        with self.stack.app.app_context():
            enqueue("resume")
            done = select(Move).where(Move.state == "grace").order_by(Move.id)
            for move in db.session.scalars(done):
                for project in self.projects:
                    if project.path == move.source:
                        project.names.append(move.target)
            active = [
                *db.session.scalars(
                    select(Removal.id).where(Removal.state.in_(["waiting", "running"]))
                ),
                *db.session.scalars(select(Move.id).where(Move.state.in_(ACTIVE))),
                *db.session.scalars(select(Collection.id).where(Collection.slot == 1)),
            ]
            db.session.remove()
        return not active

    def require_good(self) -> None:
        """Nothing that has ended has ended badly."""
        with self.stack.app.app_context():
            for kind, model in KINDS.items():
                for row in db.session.scalars(select(model)):
                    good = {"removal": "done", "move": "grace", "collection": "done"}[kind]
                    lines = [f"{x.reference}: {x.outcome} {x.detail}" for x in row.lines if
                        x.outcome == "failed"] if kind == "removal" else [row.problem]
                    assert row.state == good, (kind, row.id, row.state, lines)
            db.session.remove()

    def held(self) -> bool:
        """Whether the worker is at any of them."""
        with self.stack.app.app_context():
            queries = (
                select(model.id).where(model.lease_owner.is_not(None)) for model in KINDS.values()
            )
            return any(db.session.scalar(query) is not None for query in queries)

    def let_go(self) -> list[str]:
        """Let the leases of a dead worker run out; return what it was at."""
        hit = []
        with self.stack.app.app_context(), writing() as session:
            for kind, model in KINDS.items():
                held = select(model).where(model.lease_owner.is_not(None))
                for row in session.scalars(held.execution_options(populate_existing=True)):
                    hit.append(f"{kind} {row.state}")
                session.execute(
                    update(model)
                    .where(model.lease_owner.is_not(None))
                    .values(lease_until=utc_now(), lease_owner=None)
                    .execution_options(synchronize_session=False)
                )
        return hit


@pytest.fixture
def seed():
    """What all random choices come from; said where the test fails."""
    chosen = int(os.environ.get("REGISTRY_UI_TEST_SEED") or secrets.randbelow(10**6))
    print(f"REGISTRY_UI_TEST_SEED={chosen}")
    return chosen


@pytest.fixture
def stack(storage, registry_version, tmp_path):
    """The registry and the pages, running, with a collector that takes its time."""
    script = tmp_path / "collector"
    script.write_text('#!/bin/sh\nsleep 0.4; "$@"; code=$?; sleep 0.3; exit $code\n')
    script.chmod(0o700)
    home = tmp_path / "stack"
    real = (registries.binary(registry_version), "garbage-collect")
    words = shlex.join((str(script), *real, str(home / "var" / "registry" / "config.yml")))
    patient = {"GC_COMMAND": words, "REGISTRY_TIMEOUT": "20"}
    made = Stack(home, storage, registry_version, settings_too=patient)
    try:
        made.start("registry")
        made.start("web")
        made.until(lambda: made.api("", username="").status_code, 60)
        yield made
    finally:
        made.close()


@pytest.fixture
def workers(stack):
    made = Workers(stack)
    yield made
    made.close()


@pytest.fixture
def projects(stack):
    """Two projects that a developer pushes to."""
    stack.fill.user(DEVELOPER)
    made = [Renamed([f"{PLACE}/{name}"]) for name in ("left", "right")]
    for project in made:
        stack.fill.project(project.path)
        stack.fill.member(project.path, DEVELOPER, "developer")
    return made


@pytest.fixture
def crowd(stack, seed, projects, tmp_path):
    """Four clients of that developer, one of them skopeo, and what they have pushed."""
    ledger, secret = Ledger(), stack.fill.access_token(DEVELOPER, "write_registry")
    people = [
        PushingHasty(hasty(stack, secret), f"client{n}", seed + n, ledger, projects)
        for n in range(3)
    ]
    credentials = f"{DEVELOPER}:{secret}"
    host = stack.config.registry_host
    home = tmp_path / "skopeo"
    people.append(PushingSkopeo(home, host, credentials, "skopeo", seed + 3, ledger, projects))
    yield people
    for one in people:
        one.over.set()
    for one in people:
        if one.is_alive():
            one.join(30)


def hasty(stack, secret) -> Hasty:
    url = f"http://localhost:{stack.config.registry_port}"
    return Hasty(url, DEVELOPER, secret, stack.config.public_url)


@pytest.mark.parametrize(
    ("storage", "registry_version"),
    [pair for pair in TOGETHER if pair[1] in registries.VERSIONS],
    indirect=True,
)
def test_after_twenty_kills_everything_is_where_it_should_be_and_nothing_else(
    stack, workers, projects, crowd, seed
):
    random, ledger = Random(seed), crowd[0].ledger
    fill(projects, crowd[0])
    for project in projects:
        for image in IMAGES:
            stack.wait_for_tags(project.path, image, {"base", "client0-moving"})
    jobs = Jobs(stack, ledger, projects, random)
    for one in crowd:
        one.start()
    try:
        hit = kill_all_the_time(stack, workers, jobs, random)
        for one in crowd:
            one.over.set()
        for one in crowd:
            one.join(30)
        finish(stack, jobs)
        print(f"{jobs.rounds} rounds, {ledger.pushed} pushed, {len(ledger.refusals)} refused, {hit}, {Counter(w[:60] for w in ledger.refusals if 'skopeo' not in w).most_common(5)} {[w[-300:] for w in ledger.refusals if 'skopeo' in w or 'level' in w][-3:]}")
        jobs.require_good()
        assert ledger.wrong == []
        assert ledger.refusals
        assert_all_is_well(stack, ledger, projects)
        assert_people_push(crowd, projects)
    except BaseException as error:
        error.add_note(f"REGISTRY_UI_TEST_SEED={seed}\n{stack.logs()}")
        raise


def fill(projects, client) -> None:
    """Push what stays for ever, and some things that policies find at once."""
    for project in projects:
        for image in IMAGES:
            assert client.push(project, 0, image, "base", BASE), client.ledger.refusals
            for _ in range(12):
                for tag, manifest in client.invent(project.path, image):
                    assert client.push(project, 0, image, tag, manifest)
            for tag, manifest in [("client0-moving", BASE)]:
                assert client.push(project, 0, image, tag, manifest)


def kill_all_the_time(stack, workers, jobs, random) -> Counter:
    """Begin jobs and kill, in turn; return what the kills fell into."""
    hit: Counter[str] = Counter()
    kills, began = 0, time.monotonic()
    while kills < KILLS or not {what.partition(" ")[0] for what in hit} >= KINDS.keys():
        assert kills < KILLS + MORE_KILLS, f"no kill fell into some kind of job: {hit}"
        print("begin", time.monotonic() - began)
        if jobs.due:
            jobs.begin()
            print("begun", time.monotonic() - began)
        elif jobs.look():
            jobs.require_good()
            jobs.next_round()
            continue
        wait(jobs, random.uniform(*random.choice(LIVES)))
        kills += 1
        print(f"{time.monotonic() - began:.1f}", flush=True)
        if random.randrange(PAGES) == 0:
            os.kill(random.choice(stack.processes_of("web")), signal.SIGKILL)
            hit["pages"] += 1
            continue
        workers.kill()
        was = jobs.let_go() or ["idle"]
        with jobs.stack.app.app_context():
            print(was, [(k, r.id, r.state, r.problem if k != "removal" else r.done) for k, m in KINDS.items() for r in db.session.scalars(select(m)) if r.state not in ("done",)],
              len(jobs.ledger.refusals), jobs.ledger.pushed)
            db.session.remove()
        hit.update(was)
        workers.follow()
    return hit


def wait(jobs, seconds: float) -> None:
    """Let them work for a while, from the moment on at which the worker has begun something."""
    end = time.monotonic() + STARTS
    while not jobs.held() and not jobs.look() and time.monotonic() < end:
        time.sleep(0.1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.look()
        time.sleep(min(0.4, max(0.0, end - time.monotonic())))


def finish(stack, jobs) -> None:
    """Let everything come to its end."""
    while jobs.due:
        jobs.begin()
    stack.until(jobs.look, 60)


# -- what should be --------------------------------------------------------------


def assert_all_is_well(stack, ledger, projects) -> None:
    reader = stack.client(DEVELOPER, "read_registry")
    fences = stack.fill.rows(Fence)
    assert fences == []
    for project in projects:
        for number, path in enumerate(project.names):
            for image in IMAGES:
                wanted = ledger.wanted(project, number, image)
                found = pulled(reader, f"{path}/{image}", ledger)
                assert_same(f"{path}/{image}", wanted, found)
        for image in IMAGES:
            repository = f"{project.path}/{image}"
            stack.until(lambda r=repository: index_of(stack, r) == registry_of(reader, r), 30)
            bins = {row.bin_tag for row in stack.fill.rows(BinnedTag, repository=repository)}
            assert {tag for tag in reader.tags(repository) if is_binned(tag)} == bins
        for path in project.names[:-1]:
            for image in IMAGES:
                assert stack.fill.rows(ContainerImage, path=f"{path}/{image}") == []
    assert placeholders(stack.config.var / "registry" / "data") == []


def assert_same(repository: str, wanted, found) -> None:
    """Compare what was pulled with what may be."""
    differing = {
        tag: (wanted.get(tag, {None}), found.get(tag))
        for tag in wanted.keys() | found.keys()
        if found.get(tag) not in wanted.get(tag, {None})
    }
    assert differing == {}, f"{repository}: wanted, found"


def pulled(reader, repository: str, ledger) -> dict[str, str]:
    """Pull every tag but the bin's, to the last blob; return their digests."""

    def pull(tag: str) -> tuple[str, str]:
        answer = reader.get(f"{repository}/manifests/{tag}", Accept=ACCEPT)
        if answer.status_code == 404:
            return tag, "nothing"
        assert answer.status_code == 200, f"{repository}:{tag} {answer.status_code} {answer.text}"
        digest = answer.headers["Docker-Content-Digest"]
        manifest = ledger.contents[digest]
        assert answer.content == manifest.data
        for part in manifest.walk():
            require_whole(reader, repository, part)
        return tag, digest

    tags = [tag for tag in reader.tags(repository) if not is_binned(tag)]
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(pull, tags))


def require_whole(reader, repository: str, manifest: Manifest) -> None:
    assert reader.pull(repository, manifest.digest) == manifest.data
    for blob in manifest.blobs:
        answer = reader.get(f"{repository}/blobs/{blob.digest}")
        assert answer.content == blob.data, f"{repository}@{blob.digest}: {answer.status_code}"


def registry_of(reader, repository: str) -> dict[str, str]:
    def digest(tag: str) -> tuple[str, str]:
        answer = reader.get(f"{repository}/manifests/{tag}", Accept=ACCEPT)
        return tag, answer.headers.get("Docker-Content-Digest", "")

    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(digest, [t for t in reader.tags(repository) if not is_binned(t)]))


def index_of(stack, repository: str) -> dict[str, str]:
    with stack.fill.session() as session:
        query = select(Tag.name, Tag.digest).join(ContainerImage)
        return dict(session.execute(query.where(ContainerImage.path == repository)).all())


def placeholders(data: Path) -> list[str]:
    """What a removal has pushed for itself and left, in any repository."""
    root = data / "docker" / "registry" / "v2"
    found = []
    for link in root.glob("repositories/**/_manifests/revisions/sha256/*/link"):
        digest = link.parent.name
        body = root / "blobs" / "sha256" / digest[:2] / digest / "data"
        if not body.exists() or PLACEHOLDER_ANNOTATION.encode() in body.read_bytes():
            found.append(str(link.parent.relative_to(root)))
    return found


def assert_people_push(crowd, projects) -> None:
    """Everybody pushes to every project as if nothing had been."""
    for one in crowd:
        for project in projects:
            number = len(project.names) - 1
            for tag, manifest in one.invent(project.path, "app"):
                assert one.push(project, number, "app", tag, manifest), one.ledger.refusals[-1]
