"""The registry's configuration: YAML that says what PROTOCOLS 3 asks for, whatever the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_ui.distribution.configuration import (
    RegistrySettings,
    TokenAuth,
    auth_snippet,
    notifications_snippet,
    registry_config,
)

AUTH = TokenAuth(
    realm="http://localhost:8080/jwt/auth",
    service="registry",
    issuer="registry_ui",
    certificate=Path("/srv/ui/certificate.pem"),
)
EVENTS_URL = "http://localhost:8080/api/v4/registry_events"
SETTINGS = RegistrySettings(
    address="127.0.0.1:5050",
    data=Path("/srv/ui/data"),
    http_secret="http-secret",
    auth=AUTH,
    events_url=EVENTS_URL,
    registry_token="registry-token",
)


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load(registry_config(SETTINGS))


def test_tags_can_be_deleted(config):
    assert config["storage"]["delete"] == {"enabled": True}
    assert config["storage"]["filesystem"] == {"rootdirectory": "/srv/ui/data"}


def test_only_this_machine_reaches_it(config):
    assert config["http"]["addr"] == "127.0.0.1:5050"


def test_clients_are_sent_to_our_token_endpoint_and_only_es256_is_taken(config):
    assert config["auth"] == {
        "token": {
            "realm": "http://localhost:8080/jwt/auth",
            "service": "registry",
            "issuer": "registry_ui",
            "rootcertbundle": "/srv/ui/certificate.pem",
            "signingalgorithms": ["ES256"],
        }
    }


def test_events_are_sent_with_the_registry_token_and_those_of_blobs_are_not(config):
    (endpoint,) = config["notifications"]["endpoints"]
    assert endpoint["url"] == EVENTS_URL
    assert endpoint["headers"] == {"Authorization": ["Bearer registry-token"]}
    assert endpoint["ignoredmediatypes"] == ["application/octet-stream"]
    # A duration without a unit would be nanoseconds.
    assert {endpoint["timeout"], endpoint["backoff"]} == {"5s", "1s"}


def test_the_log_is_not_asked_for_the_level_that_prints_the_registry_token(config):
    assert config["log"]["level"] == "warn"


@pytest.mark.parametrize("odd", ['a"b', "a\\b", "a: b", "#a", "{a}", "ä ö", "'", "%", "yes"])
def test_a_value_stays_what_it_is(odd):
    snippet = yaml.safe_load(notifications_snippet(f"http://h/{odd}", odd))
    (endpoint,) = snippet["notifications"]["endpoints"]
    assert endpoint["url"] == f"http://h/{odd}"
    assert endpoint["headers"]["Authorization"] == [f"Bearer {odd}"]
    auth = TokenAuth(realm=odd, service=odd, issuer=odd, certificate=Path(odd))
    token = yaml.safe_load(auth_snippet(auth))["auth"]["token"]
    assert [token[name] for name in ("realm", "service", "issuer", "rootcertbundle")] == [odd] * 4


def test_secrets_are_not_in_the_repr():
    assert "registry-token" not in repr(SETTINGS)
    assert "http-secret" not in repr(SETTINGS)
