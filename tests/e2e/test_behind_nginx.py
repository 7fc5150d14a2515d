"""The pages behind the nginx of the documents, with TLS, on a port of their own."""

from __future__ import annotations

import http.client
import re

import pytest
import requests

from tests.support.processes import free_port
from tests.support.proxies import adapted, documented, nginx_in, started, write_certificate
from tests.support.stack import ADMIN, Stack
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]


@pytest.fixture(scope="module")
def served(storage, tmp_path_factory):
    """A site at https://localhost:PORT; the web process alone, without a registry."""
    home, port = tmp_path_factory.mktemp("behind"), free_port()
    settings = {"PUBLIC_URL": f"https://localhost:{port}", "TRUSTED_PROXIES": "1"}
    stack = Stack(home, storage, "2.8", more=settings)
    certificate, key = write_certificate(home)
    text = adapted(
        documented("## Behind a reverse proxy", "nginx"),
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/ssl/images.pem": str(certificate),
            "/etc/ssl/images.key": str(key),
            "images.example.org": "localhost",
            "127.0.0.1:8080": f"127.0.0.1:{stack.config.port}",
        },
    )
    try:
        stack.start("web")
        with started(nginx_in(home, text), home, port):
            yield stack, certificate
    finally:
        stack.close()


@pytest.fixture
def browser(served):
    stack, certificate = served
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(certificate)
        session.base = stack.config.public_url
        yield session


def test_people_sign_in_on_any_port(browser):
    page = browser.base + "/-/sign-in"
    shown = browser.get(page, timeout=60)
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', shown.text)[1]
    form = {"csrf_token": token, "username": ADMIN, "password": PASSWORD}
    # Browsers say where a form was: by https it is compared with the address of the site.
    answer = browser.post(page, form, headers={"Referer": page}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.url.startswith(browser.base)
    assert browser.get(browser.base + "/-/profile", timeout=60).url.endswith("/-/profile")
    assert [cookie.name for cookie in browser.cookies] == ["__Host-registry_ui"]


def test_docker_login_reaches_the_realm(served, browser):
    stack, _ = served
    assert stack.config.realm == f"{browser.base}/jwt/auth"
    query = {"service": stack.config.token_service, "account": ADMIN}
    answer = browser.get(stack.config.realm, params=query, auth=(ADMIN, PASSWORD), timeout=60)
    assert answer.status_code == 200
    assert answer.json()["token"]
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("header", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "Path-Info"])
def test_no_program_on_this_machine_moves_a_request_elsewhere(served, header):
    stack, _ = served
    connection = http.client.HTTPConnection("127.0.0.1", stack.config.port, timeout=60)
    connection.request("GET", "/-/sign-in", headers={header: "/-"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    assert 'action="/-/sign-in' in text
    assert 'href="/static/' in text
