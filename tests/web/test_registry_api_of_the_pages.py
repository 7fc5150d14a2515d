"""A registry client that was given the address of the pages is told the right one."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/v2/", "/v2/acme/app/manifests/v1", "/v2/_catalog"])
def test_registry_clients_are_told_where_the_registry_is(site, method, path):
    answer = site.app.test_client().open(path, method=method)
    assert answer.status_code == 400
    assert answer.content_type == "application/json"
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert "Set-Cookie" not in answer.headers
    host = site.app.config["SETTINGS"].registry_host
    message = f"this is the web site, the registry is at {host}"
    (error,) = answer.json["errors"]
    assert (error["code"], error["message"]) == ("UNSUPPORTED", message)
    assert len(answer.data) < 300
