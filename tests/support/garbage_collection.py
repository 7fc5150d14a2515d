"""A registry whose garbage is collected: what it holds, how a collection runs, and its worker."""

from __future__ import annotations

import shlex

from sqlalchemy import update

from registry_ui.db.session import db
from registry_ui.demo.images import DOCKER, index
from registry_ui.demo.push import RegistryError
from registry_ui.garbage_collection import runner
from registry_ui.garbage_collection import service as garbage_collection
from registry_ui.jobs.tasks import resume
from registry_ui.models import GarbageCollection
from registry_ui.names import TagName
from registry_ui.removals.planner import plan_tag
from tests.contract import collection_process
from tests.support.live import Pusher, environ_of, tiny
from tests.support.worker_processes import end_worker, start_worker
from tests.web.support import ACTOR, PASSWORD

ONE, DOOMED = tiny("one"), tiny("doomed", family=DOCKER)
BOTH = index([tiny("amd"), tiny("arm", platform="linux/arm64")])
TAGS = {"one": ONE, "doomed": DOOMED, "both": BOTH}
#: Of the doomed image: its manifest, its config and its layer.
GOES = {blob.digest: len(blob.data) for blob in (DOOMED, *DOOMED.blobs)}
STAYS = {manifest.digest: manifest for manifest in (ONE, BOTH, *BOTH.children)}


def app_of(site) -> str:
    return f"{site.shop}/app"


def on_disk(site) -> set[str]:
    """The digests of all blobs that the registry keeps."""
    blobs = site.registry.home / "data" / "docker" / "registry" / "v2" / "blobs"
    return {f"sha256:{data.parent.name}" for data in blobs.glob("sha256/*/*/data")}


def hold_back(site) -> None:
    """Let the collector wait for go_on()."""
    (site.config.var / "go").unlink()


def go_on(site) -> None:
    (site.config.var / "go").touch()


def remove_doomed(site) -> None:
    done = site.run(site.start(plan_tag, app_of(site), TagName("doomed")))
    assert done.state == "done"


def begin(site, *, dry_run=False) -> int:
    with site.app.app_context():
        return garbage_collection.begin(ACTOR, dry_run=dry_run).id


def run(site, collection_id: int) -> GarbageCollection:
    with site.app.app_context():
        runner.run(collection_id)
    return site.row(GarbageCollection, id=collection_id)


def collected(site, *, dry_run=False) -> GarbageCollection:
    row = run(site, begin(site, dry_run=dry_run))
    assert row.state == "done", (row.problem, row.output)
    return row


def assert_whole(site, repository: str) -> None:
    """Everything that stays is there to the last blob, also below the index."""
    pusher = Pusher(site.registry.url, site.pusher.signer)
    for digest, manifest in STAYS.items():
        assert pusher.digest(repository, digest) == digest
        assert {blob.digest for blob in manifest.blobs} <= on_disk(site)
    assert pusher.digests(repository) == {"one": ONE.digest, "both": BOTH.digest}


def can_be_pulled(pusher, repository, tag):
    """Whether it is whole. 3.x announces a blob that is gone, and then breaks off."""
    try:
        return pusher.digest(repository, tag) is not None
    except RegistryError:
        return False


class Worker:
    """A worker of its own, which can be killed."""

    def __init__(self, site, collection_id: int) -> None:
        self.process = start_worker(
            collection_process.main,
            collection_id,
            environ={
                **environ_of(site.config),
                "REGISTRY_UI_GC_COMMAND": shlex.join(site.config.gc_command),
            },
            log=site.config.var / "worker.log",
        )

    def ended(self) -> int | None:
        """Wait until it has ended by itself; return its exit code."""
        self.process.join(60)
        return self.process.exitcode

    def kill(self) -> None:
        end_worker(self.process)


def state(site) -> str:
    return site.rows(GarbageCollection)[-1].state


def scope_of(site) -> str:
    """What a Maintainer is granted who asks for everything."""
    scope = f"repository:{app_of(site)}:*"
    granted = site.granted(scope, auth=("maintainer", PASSWORD))
    return granted.get(app_of(site), "")


def resumed(site) -> None:
    """Let the lease of a dead worker run out, and do what the schedule does."""
    with site.app.app_context():
        db.session.execute(update(GarbageCollection).values(lease_until=None))
        db.session.commit()
        resume()


def cancel(site, collection_id: int) -> None:
    with site.app.app_context():
        garbage_collection.cancel(ACTOR, collection_id)
