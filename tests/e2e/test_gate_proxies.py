"""The gate behind each documented proxy: a push is judged when its last byte is here."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.db.session import writing
from registry_ui.models import Move, OldPath, User
from registry_ui.moves.planner import MovePlan
from registry_ui.operations.write_freeze import freeze_writes, lift_write_freeze
from registry_ui.token_auth.keyring import KeyRing
from tests.support.clients import Skopeo, works, workshop
from tests.support.gate import TRICKS, Direct, Held, raw
from tests.support.live import tiny
from tests.support.processes import until
from tests.support.proxies import PROXIES
from tests.support.stack import running

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]


@pytest.fixture(scope="module")
def gated(storage, registry_version, tmp_path_factory):
    """The whole product with the gate in front of the registry."""
    with running(tmp_path_factory.mktemp("proxied"), storage, registry_version, gate=True) as made:
        yield made


@pytest.fixture(scope="module", params=["make run-gate", *PROXIES])
def port(gated, request, tmp_path_factory):
    """The port of a proxy in front of the registry that asks the gate."""
    if request.param not in PROXIES:
        yield gated.config.registry_port
        return
    home = tmp_path_factory.mktemp(request.param)
    with PROXIES[request.param](gated.config, home) as found:
        yield found


@pytest.fixture
def project(gated):
    """A project without rules, with a Developer and a Maintainer."""
    return gated.maintained_place()


@pytest.fixture
def pushed(gated, project, port):
    """A repository with the tag v1, the parts of another image, and its Developer."""
    first, second = tiny(f"{project} 1"), tiny(f"{project} 2")
    developer = gated.developer(project)
    gated.client(developer).push(f"{project}/web", {"v1": first, "main": second})
    direct = Direct(gated, developer, f"{project}/web")
    direct.base = f"http://localhost:{port}"
    return direct, first, second


CHUNKED = pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])


@CHUNKED
def test_a_push_that_was_held_works_if_nothing_changed_meanwhile(pushed, port, chunked):
    direct, _first, second = pushed
    held = Held(port, direct, "v1", second, chunked=chunked)
    assert held.finish() == 201
    assert direct.head("v1") == second.digest


@CHUNKED
def test_a_held_push_does_not_overwrite_a_tag_that_became_immutable(
    gated, pushed, project, port, chunked
):
    direct, first, second = pushed
    held = Held(port, direct, "v1", second, chunked=chunked)
    gated.fill.rule(project, "v*")
    assert held.finish() == 403
    assert direct.head("v1") == first.digest


def test_a_held_push_of_a_blocked_user_changes_nothing(gated, pushed, port):
    direct, first, second = pushed
    held = Held(port, direct, "v1", second)
    gated.fill.change(User, {"is_blocked": True}, username=direct.subject)
    assert held.finish() == 403
    assert direct.head("v1") == first.digest


def test_a_held_push_does_not_land_during_a_freeze(gated, pushed, project, port):
    direct, first, second = pushed
    held = Held(port, direct, "v1", second)
    with gated.app.app_context():
        with writing() as session:
            freeze_id = freeze_writes(session, project, "move").id
        status = held.finish()
        with writing() as session:
            lift_write_freeze(session, freeze_id)
    assert status == 403
    assert direct.head("v1") == first.digest


def test_a_held_push_to_a_name_that_became_old_changes_nothing(gated, pushed, port):
    direct, first, second = pushed
    held = Held(port, direct, "v1", second)
    moved = {"source": direct.repository, "target": f"{direct.repository}-new"}
    with gated.fill.session() as session:
        preview = MovePlan("image", **moved).preview()
        move = Move(kind="image", state="grace", requested_by="somebody", preview=preview, **moved)
        session.add(move)
        session.flush()
        values = {"path": move.source, "new_path": move.target, "exact": True}
        until_then = datetime.now(UTC) + timedelta(days=7)
        session.add(OldPath(**values, until=until_then, move_id=move.id))
        session.commit()
    assert held.finish() == 403
    assert direct.head("v1") == first.digest


def test_a_held_push_with_a_token_that_expired_changes_nothing(gated, pushed, port):
    direct, first, second = pushed
    config = gated.config
    ring = KeyRing(config.token_key_file, config.token_certificate_file)
    # Tokens are accepted for a minute after their end: three seconds are left.
    signer = ring.signer(config.token_issuer, config.token_service, -57)
    actions = ["pull", "push"]
    access = [{"type": "repository", "name": direct.repository, "actions": actions}]
    token = signer.sign(direct.subject, access).token
    end = time.time() + 4
    held = Held(port, direct, "v1", second, token=token)
    until(lambda: time.time() > end)
    assert held.finish() == 401
    assert direct.head("v1") == first.digest


def test_a_manifest_of_over_four_mebibytes_is_refused(pushed, port):
    direct, first, second = pushed
    large = b" " * (4 * 1024 * 1024 + 1)
    headers = {"Content-Type": second.media_type}
    path = f"/v2/{direct.repository}/manifests/v1"
    assert direct.send("PUT", path, large, **headers).status_code in {400, 413}
    assert direct.send("PUT", path, iter([large]), **headers).status_code in {400, 413}
    assert direct.head("v1") == first.digest


def test_a_layer_streams_to_the_registry_while_it_arrives(gated, pushed, port):
    """However large it is, and however long it takes."""
    direct, _first, _second = pushed
    begun = direct.send("POST", f"/v2/{direct.repository}/blobs/uploads/")
    assert begun.status_code == 202
    target = begun.headers["Location"].partition("://")[2].partition("/")[2]
    data = os.urandom(6 * 1024 * 1024)
    head = f"PATCH /{target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {direct.token()}\r\nContent-Length: {len(data)}\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"
    storage = gated.config.var / "registry"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head.encode() + data[: 5 * 1024 * 1024])
        until(lambda: any(f.stat().st_size > 4096 for f in storage.rglob("_uploads/*/data")))
        connection.sendall(data[5 * 1024 * 1024 :])
        answer = connection.recv(4096)
    assert answer.split(b" ", 2)[1] == b"202", answer


def test_skopeo_pushes_and_pulls(gated, project, port):
    with workshop() as shop:
        client = Skopeo(shop, f"localhost:{port}")
        developer = gated.developer(project)
        works(client.login(developer, gated.fill.access_token(developer, "write_registry")))
        name = f"localhost:{port}/{project}/skopeo:v1"
        client.make(name)
        works(client.push(name))
        works(client.pull(name))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_no_address_gets_past_the_gate(gated, pushed, project, port, method):
    direct, first, second = pushed
    gated.fill.rule(project, "v*")
    for trick in TRICKS:
        target = trick.format(direct.repository, direct.repository.replace("/", "%2f"))
        raw(port, method, target, direct.token(), second)
        assert direct.head("v1") == first.digest, target
