"""Steps of a signing key rotation: stage, activate, and retire, each with its audit entry."""

from __future__ import annotations

from ..audit import OWN_SUBJECT, Actor, record
from ..db.session import writing
from ..distribution.client import RegistryClient
from ..distribution.errors import RegistryError, RegistryRefused
from .keyring import KeyRing, RotatingSigner, RotationRefused
from .signer import Signer

SUBJECT = "signing key"
PROBE_LIFETIME = 60


def stage(actor: Actor, ring: KeyRing) -> None:
    """Create the next signing key (the staged key) and add its certificate to ``bundle.pem``.

    Raises:
        RotationRefused: a key is staged already.
    """
    with writing() as session:
        ring.stage()
        record(session, actor, "signing_key.stage", SUBJECT, key=_find_key_id(ring, "next"))


def activate(
    actor: Actor, signer: RotatingSigner, registry_url: str, timeout: float, *, force: bool = False
) -> None:
    """Make the staged key active, after the registry has accepted a token signed with it.

    Args:
        timeout: timeout in seconds for the request to the registry.
        force: whether to skip the check by the registry.

    Raises:
        RotationRefused: no key is staged, or the registry did not accept a token signed with it.
    """
    ring = signer.ring
    staged = ring.next_signer(signer.issuer, signer.service, signer.lifetime)
    if not force:
        _require_accepted(staged, registry_url, timeout)
    with writing() as session:
        ring.activate()
        record(session, actor, "signing_key.activate", SUBJECT, key=staged.key_id, force=force)


def _require_accepted(staged: Signer, registry_url: str, timeout: float) -> None:
    def probe(
        repository: str | None,  # noqa: ARG001 - only asks whether the registry answers
        actions: tuple[str, ...],  # noqa: ARG001
        mounted_from: str | None = None,  # noqa: ARG001
    ) -> str:
        return staged.sign(OWN_SUBJECT, [], PROBE_LIFETIME).token

    try:
        RegistryClient(registry_url, probe, timeout).ping()
    except RegistryRefused:
        raise RotationRefused(
            "the registry does not know the staged key yet, and every pull would fail: "
            "restart it with a rootcertbundle that holds the certificate, then try again"
        ) from None
    except RegistryError as error:
        raise RotationRefused(f"it is unknown whether the registry has the key: {error}") from None


def retire(actor: Actor, signer: RotatingSigner, *, force: bool = False) -> None:
    """Delete the certificate of the previous signing key.

    Args:
        force: whether to delete it even if tokens signed with the key can still be in use.

    Raises:
        RotationRefused: there is no previous key, or tokens signed with it can still be in use.
    """
    key = _find_key_id(signer.ring, "previous")
    with writing() as session:
        signer.ring.retire(signer.lifetime, force=force)
        record(session, actor, "signing_key.retire", SUBJECT, key=key, force=force)


def _find_key_id(ring: KeyRing, part: str) -> str:
    return next((view.key_id for view in ring.views() if view.part == part), "")
