"""Pushes from four clients while policies, renames and collections go on, and workers are killed.

At the end the registry is compared with what should be there, tag by tag, digest by digest, blob
by blob. The moments are random: REGISTRY_UI_TEST_SEED repeats the choices of a run.

What is cut short is waiting alone: a write freeze is quiet as soon as no client of this test uses a
bearer token from before it, a dead worker's lease runs out at its death, and what the schedule
does every minute is done several times a second.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from registry_ui.demo.images import sha256
from registry_ui.demo.push import RegistryClient
from registry_ui.distribution.manifest import PLACEHOLDER_ANNOTATION
from registry_ui.models import ContainerImage, RegistryEvent, Tag, TrashedTag, WriteFreeze
from registry_ui.names import is_trash_tag
from tests.support import registry as registries
from tests.support.crowd import BASE, IMAGES, Hasty, PushingHasty, PushingSkopeo
from tests.support.ledger import Ledger, Renamed
from tests.support.rounds import KINDS, Jobs, Workers
from tests.support.stack import Stack

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.both_databases,
    pytest.mark.timeout(1800),
]

KILLS = 20
#: So many more, until each kind of job was hit.
MORE_KILLS = 40
#: Of so many kills one is of the pages.
PAGES = 6
#: How long a worker lives once it has begun something: for seconds between these two, or until
#: a job has reached its next state, however long that takes on a busy machine.
LIVES = ((0.0, 1.0), (0.0, 1.0), (0.5, 2.0), None)
#: Timeout in seconds for a worker to begin something, and for a job to reach its next state.
STARTS, NEXT_STATE = 60.0, 120.0
#: Timeout in seconds for the events of everything: each look at a tag is one.
EVENTS = 300.0
#: Of each image, before anybody is killed.
PUSHED_BEFORE = 12
#: The default storage with the one major version, the other with the other.
TOGETHER = [("sqlite", "2.8"), ("postgresql", "3")]
DEVELOPER = "developer"
#: Takes its time, and writes down when it was at work.
COLLECTOR = """#!/bin/sh
date '+begin %s.%N' >>"$0.log"
sleep 0.3; "$@"; code=$?; sleep 0.2
date '+end %s.%N' >>"$0.log"
exit $code
"""


@pytest.fixture
def seed():
    """What all random choices come from."""
    return int(os.environ.get("REGISTRY_UI_TEST_SEED") or secrets.randbelow(10**6))


@pytest.fixture
def stack(storage, registry_version, tmp_path):
    """The registry and the pages, running, with a collector that takes its time."""
    script = tmp_path / "collector"
    script.write_text(COLLECTOR)
    script.chmod(0o700)
    home = tmp_path / "stack"
    real = (registries.binary(registry_version), "garbage-collect")
    words = shlex.join((str(script), *real, str(home / "var" / "registry" / "config.yml")))
    settings = {"GC_COMMAND": words}
    made = Stack(home, storage, registry_version, more=settings)
    try:
        made.start("registry", "web")
        made.until(lambda: made.api("", username="").status_code)
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
    """Two projects with a developer."""
    stack.fill.user(DEVELOPER)
    made = [Renamed([f"kills/{name}"]) for name in ("left", "right")]
    for project in made:
        stack.fill.project(project.path)
        stack.fill.member(project.path, DEVELOPER, "developer")
    return made


@pytest.fixture
def crowd(stack, seed, projects, tmp_path):
    """Four clients of the developer, one of them skopeo. They do not push yet."""
    ledger = Ledger()
    secret = stack.fill.access_token(DEVELOPER, "write_registry")
    host = stack.config.registry_host
    client = [Hasty(f"http://{host}", DEVELOPER, secret, stack.config.public_url) for _ in range(3)]
    people = [PushingHasty(client[n], f"client{n}", seed + n, ledger, projects) for n in range(3)]
    credentials = f"{DEVELOPER}:{secret}"
    home = tmp_path / "skopeo"
    people.append(PushingSkopeo(home, host, credentials, "skopeo", seed + 3, ledger, projects))
    yield people
    stop(people)


class Reader(RegistryClient):
    """A client that pulls blobs too."""

    def blob(self, repository: str, digest: str) -> bytes:
        return self._call("GET", f"{repository}/blobs/{digest}", repository, 200).content


@pytest.fixture
def reader(stack):
    """Another client of the developer, that only pulls."""
    secret = stack.fill.access_token(DEVELOPER, "read_registry")
    url = f"http://{stack.config.registry_host}"
    return Reader(url, DEVELOPER, secret, stack.config.public_url)


def stop(crowd) -> None:
    for one in crowd:
        one.over.set()
    for one in crowd:
        if one.is_alive():
            one.join(60)


@pytest.mark.parametrize(
    ("storage", "registry_version"),
    [pair for pair in TOGETHER if pair[1] in registries.VERSIONS],
    indirect=True,
)
def test_after_twenty_kills_everything_is_where_it_should_be_and_nothing_else(
    stack, workers, crowd, reader, seed, tmp_path
):
    projects = crowd[0].projects
    ledger, hit = crowd[0].ledger, Counter[str]()
    try:
        fill(stack, projects, crowd[0])
        jobs = Jobs(stack, ledger, projects, Random(seed))
        before = ledger.pushed
        for one in crowd:
            one.start()
        kill_all_the_time(stack, workers, jobs, hit)
        stop(crowd)
        finish(stack, jobs)
        assert ledger.pushed > before, "nobody could push meanwhile"
        assert ledger.refusals, "no write freeze has stopped anybody"
        assert ledger.wrong == []
        assert_no_push_met_a_collector(ledger, (tmp_path / "collector.log").read_text())
        assert_indexed(stack, jobs, ledger)
        assert_old_paths_refuse_pushes(stack, ledger)
        assert_all_can_be_pulled(reader, ledger, projects)
        assert_nothing_of_ours_is_left(stack, reader, projects)
        assert_everybody_pushes(crowd, projects)
    except BaseException as error:
        words = f"{dict(hit)}; {ledger.pushed} pushes, {len(ledger.refusals)} refused"
        error.add_note(f"REGISTRY_UI_TEST_SEED={seed}\n{words}\n{stack.logs()}")
        raise


def fill(stack, projects, client) -> None:
    """Push what stays for ever, and things that policies find at once."""
    for project in projects:
        for image in IMAGES:
            made = [("base", BASE)]
            for _ in range(PUSHED_BEFORE):
                made += client.invent(project.path, image)
            for tag, manifest in made:
                assert client.push(project, 0, image, tag, manifest), client.ledger.refusals
    for project in projects:
        for image in IMAGES:
            names = client.ledger.wanted(project, 0, image).keys()
            stack.wait_for_tags(project.path, image, {n for n in names if "sha256" not in n})


def kill_all_the_time(stack, workers, jobs, hit: Counter[str]) -> None:
    """Begin jobs and kill, in turn; count into what the kills fell."""
    random, kills = jobs.random, 0
    while kills < KILLS or not {what.partition(" ")[0] for what in hit} >= KINDS.keys():
        assert kills < KILLS + MORE_KILLS, "no kill fell into some kind of job"
        if jobs.due:
            jobs.begin()
        elif jobs.look():
            jobs.require_good()
            jobs.next_round()
            continue
        life = random.choice(LIVES)
        live(jobs, random.uniform(*life) if life else None)
        kills += 1
        if random.randrange(PAGES) == 0:
            os.kill(random.choice(stack.processes_of("web")), signal.SIGKILL)
            hit["pages"] += 1
            continue
        workers.kill()
        hit.update(jobs.let_go() or ["nothing"])
        workers.follow()


def live(jobs, seconds: float | None) -> None:
    """Let the worker work for a while, from the moment on at which it has begun something.

    Args:
        seconds: for how long; None until a job has reached its next state.
    """
    end = time.monotonic() + STARTS
    while not jobs.held() and not jobs.look() and time.monotonic() < end:
        time.sleep(0.1)
    before = jobs.states()
    end = time.monotonic() + (NEXT_STATE if seconds is None else seconds)
    while (left := end - time.monotonic()) > 0:
        if jobs.look() or (seconds is None and jobs.states() != before):
            return
        time.sleep(min(0.4, left))


def finish(stack, jobs) -> None:
    """Let everything come to its end."""
    while jobs.due:
        jobs.begin()
    stack.until(jobs.look, EVENTS)
    jobs.require_good()


# -- what should be --------------------------------------------------------------


def assert_no_push_met_a_collector(ledger, log: str) -> None:
    """No push was answered with 201 between the beginning of a collector and its end."""
    lines = [line.split() for line in log.splitlines()]
    times = [(word, float(at)) for word, at in lines]
    # One that was killed has no end: the next line is the beginning of another.
    runs = [(a, b) for (_, a), (word, b) in pairwise(times) if word == "end"]
    assert runs, "no collector has come to its end"
    met = [
        (tag, began, at)
        for began, at, tag in ledger.answered
        if any(begin < at < end for begin, end in runs)
    ]
    assert met == [], "pushed while a collector ran"


def assert_old_paths_refuse_pushes(stack, ledger) -> None:
    """The registry accepted no push by an old path, not even one whose client got no answer."""
    pushes = stack.fill.rows(RegistryEvent, action="push")
    accepted = {(event.repository, event.tag) for event in pushes}
    assert accepted, "no event of a push has come"
    assert accepted.intersection(ledger.forbidden) == set(), "pushed by an old path"


def assert_indexed(stack, jobs, ledger) -> None:
    """Wait until the index has heard of everything: it has the names of now, and no others."""
    for project in jobs.projects:
        for number, path in enumerate(project.names):
            for image in IMAGES:
                wanted = ledger.wanted(project, number, image) if path == project.path else {}
                repository, end = f"{path}/{image}", time.monotonic() + EVENTS
                while differing := differences(wanted, index_of(stack, repository)):
                    assert time.monotonic() < end, f"{repository} in the index: {differing}"
                    jobs.look()
                    time.sleep(0.5)


def assert_all_can_be_pulled(reader, ledger, projects) -> None:
    """Pull everything, by every name that a project ever had, and compare."""
    for project in projects:
        for number, path in enumerate(project.names):
            for image in IMAGES:
                found = pulled(reader, f"{path}/{image}", ledger)
                differing = differences(ledger.wanted(project, number, image), found)
                assert differing == {}, f"{path}/{image}: what may be, and what is"


def differences(wanted, found) -> dict[str, tuple[set[str | None], str | None]]:
    """Return the tags that are not what they may be, with both."""
    return {
        tag: (wanted.get(tag, {None}), found.get(tag))
        for tag in wanted.keys() | found.keys()
        if found.get(tag) not in wanted.get(tag, {None})
    }


def pulled(reader, repository: str, ledger) -> dict[str, str]:
    """Pull every tag but the trash's, to the last blob; return what each stands for."""

    def pull(tag: str) -> tuple[str, str]:
        digest = sha256(reader.pull(repository, tag))
        assert digest in ledger.contents, f"{repository}:{tag} is something else"
        for part in ledger.contents[digest].walk():
            assert reader.pull(repository, part.digest) == part.data
            for blob in part.blobs:
                assert reader.blob(repository, blob.digest) == blob.data
        return tag, digest

    tags = [tag for tag in reader.tags(repository) if not is_trash_tag(tag)]
    with ThreadPoolExecutor(4) as pool:
        return dict(pool.map(pull, tags))


def index_of(stack, repository: str) -> dict[str, str]:
    with stack.fill.session() as session:
        query = select(Tag.name, Tag.digest).join(ContainerImage)
        return dict(session.execute(query.where(ContainerImage.path == repository)).all())


def assert_nothing_of_ours_is_left(stack, reader, projects) -> None:
    """No write freeze, no tag of the trash outside the trash, no placeholder of a removal."""
    assert stack.fill.rows(WriteFreeze) == []
    for project in projects:
        for image in IMAGES:
            repository = f"{project.path}/{image}"
            kept = {row.trash_tag for row in stack.fill.rows(TrashedTag, repository=repository)}
            assert {tag for tag in reader.tags(repository) if is_trash_tag(tag)} == kept
    assert placeholders(stack.config.var / "registry" / "data" / "docker" / "registry" / "v2") == []


def placeholders(root: Path) -> list[str]:
    """Return manifests that removals have pushed for themselves, and those without content."""
    found = []
    for link in root.glob("repositories/**/_manifests/revisions/sha256/*/link"):
        digest = link.parent.name
        body = root / "blobs" / "sha256" / digest[:2] / digest / "data"
        if not body.exists() or PLACEHOLDER_ANNOTATION.encode() in body.read_bytes():
            found.append(str(link.parent.relative_to(root)))
    return found


def assert_everybody_pushes(crowd, projects) -> None:
    """Push to every project by its name now."""
    for one in crowd:
        for project in projects:
            number = len(project.names) - 1
            for tag, manifest in one.invent(project.path, "app"):
                assert one.push(project, number, "app", tag, manifest), one.ledger.refusals[-1]
