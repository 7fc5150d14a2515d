"""Support for a registry that is a pull-through cache (``proxy:`` in its configuration).

A cache sends a request to its upstream registry if a list of tags or a tag is requested, and
accepts no pushes or deletions. Therefore, the database's list of tags ("the index") is filled
only from the pull events that the cache sends.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Collection

from flask import current_app, g
from sqlalchemy import delete, select

from ..access import Permission
from ..db.session import db, end_read, writing
from ..distribution.errors import PartsMissing, RegistryError, RegistryIsCache
from ..errors import RegistryUnreachable
from ..models import REGISTRY_IS_CACHE, Heartbeat, utc_now
from ..names import Digest, RepositoryName
from ..registry_connection import registry

logger = logging.getLogger(__name__)

#: Repository name for the test push in detect(), a manifest without its config. The registry stores
#: nothing: a cache refuses every push, and an ordinary registry refuses this manifest. From the
#: error, detect() learns which kind of registry it is.
PROBE_REPOSITORY = RepositoryName("registry-ui-probe")
#: Permissions that have no effect in a cache, because it accepts no pushes or deletions.
WRITE_PERMISSIONS = frozenset([Permission.PUSH, Permission.DELETE])
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def is_cache() -> bool:
    """Return whether the registry is a pull-through cache, as configured or last detected.

    The database is queried at most once per HTTP request.
    """
    setting = current_app.config["SETTINGS"].registry_is_cache
    if setting != "auto":
        return bool(setting == "yes")
    if "registry_is_cache" not in g:
        query = select(Heartbeat.at).where(Heartbeat.name == REGISTRY_IS_CACHE)
        g.registry_is_cache = db.session.scalar(query) is not None
    return bool(g.registry_is_cache)


def refuse_deletion() -> None:
    """Raise RegistryUnreachable if the registry is a pull-through cache: it allows no deletions."""
    if is_cache():
        raise RegistryUnreachable(
            "This registry is a pull-through cache: nothing can be deleted from it.",
            hint="Delete the image in the registry that it mirrors. What is cached expires.",
        )


def refuse_push() -> None:
    """Raise RegistryUnreachable if the registry is a pull-through cache: it allows no pushes."""
    if is_cache():
        raise RegistryUnreachable(
            "This registry is a pull-through cache: nothing can be pushed to it.",
            hint="Copy or rename the image in the registry that it mirrors.",
        )


def permitted(permissions: Collection[Permission]) -> tuple[frozenset[Permission], bool]:
    """Return the user's effective permissions, and whether the registry is a pull-through cache.

    Args:
        permissions: the user's permissions. For a cache, the result lacks WRITE_PERMISSIONS.
    """
    is_cached = is_cache()
    return frozenset(permissions) - (WRITE_PERMISSIONS if is_cached else frozenset()), is_cached


def detect() -> None:
    """Detect whether the registry is a pull-through cache, and store the result.

    The test is a push that every registry refuses, so that it changes nothing: a cache refuses
    any manifest, and an ordinary registry refuses this one, because its config is missing. If the
    push fails for a different reason, the stored result is kept. Nothing is tested if the
    configuration says whether the registry is a cache.
    """
    if current_app.config["SETTINGS"].registry_is_cache != "auto":
        return
    end_read()
    body = _create_manifest_without_config()
    try:
        registry().put_manifest(PROBE_REPOSITORY, Digest.of(body), body, MEDIA_TYPE)
    except RegistryIsCache:
        is_detected = True
    except PartsMissing:
        is_detected = False
    except RegistryError:
        return
    else:
        return
    if is_detected is is_cache():
        return
    logger.warning("The registry is %s pull-through cache.", "a" if is_detected else "no longer a")
    with writing() as session:
        session.execute(delete(Heartbeat).where(Heartbeat.name == REGISTRY_IS_CACHE))
        if is_detected:
            session.add(Heartbeat(name=REGISTRY_IS_CACHE, at=utc_now()))
    g.registry_is_cache = is_detected


def _create_manifest_without_config() -> bytes:
    digest = "sha256:" + secrets.token_hex(32)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": 2}
    manifest = {"schemaVersion": 2, "mediaType": MEDIA_TYPE, "config": config, "layers": []}
    return json.dumps(manifest).encode()
