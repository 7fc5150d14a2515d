"""Every nginx configuration of the documents is one that nginx accepts as it is shown."""

from __future__ import annotations

import re
import subprocess

import pytest

from config import ROOT
from tests.support.processes import free_port
from tests.support.proxies import nginx_in, write_certificate

pytestmark = pytest.mark.e2e

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
BLOCKS = {
    f"{page.name} {number}": block.partition("```")[0]
    for page in PAGES
    for number, block in enumerate(page.read_text().split("```nginx\n")[1:])
}


def test_there_are_nginx_configurations_in_the_documents():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("name", BLOCKS)
def test_nginx_accepts_a_configuration_of_the_documents(name, tmp_path):
    """With certificates at the paths that it names, and another port."""
    certificate, key = write_certificate(tmp_path)
    text = re.sub(r"/etc/ssl/[a-z]+\.pem", str(certificate), BLOCKS[name])
    text = re.sub(r"/etc/ssl/[a-z]+\.key", str(key), text)
    text = re.sub(r"listen (443|[0-9.:]+)", lambda _: f"listen 127.0.0.1:{free_port()}", text)
    done = subprocess.run(
        [*nginx_in(tmp_path, text), "-t"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "test is successful" in done.stderr, done.stderr
    assert "[warn]" not in done.stderr
