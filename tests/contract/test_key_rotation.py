"""The next signing key takes over on a real registry, and not before that knows it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from registry_ui.distribution.errors import RegistryRefused
from registry_ui.token_auth.keyring import KeyRing
from tests.contract.conftest import PATIENCE
from tests.support import registry as registries

pytestmark = pytest.mark.contract


@pytest.fixture
def ring(tmp_path, base_config):
    """Keys of this test's own, with one staged."""
    home = tmp_path / "token"
    shutil.copytree(base_config.token_key_file.parent, home)
    ring = KeyRing(
        home / base_config.token_key_file.name, home / base_config.token_certificate_file.name
    )
    assert ring.is_staged
    return ring


@pytest.fixture(params=registries.VERSIONS)
def registry(request, tmp_path, base_config):
    """A registry that is not started yet."""
    made = registries.new_registry(request.param, tmp_path / "registry", base_config)
    yield made
    made.stop()


def start(registry, config, trusted):
    registry.stop()
    registry.config = replace(config, token_certificate_file=trusted)
    registry.start()


def test_a_staged_key_is_refused_until_the_registry_reads_the_bundle(
    make_app, base_config, ring, registry
):
    alone = ring.certificate_file.with_name("alone.pem")
    shutil.copy(ring.certificate_file, alone)
    start(registry, base_config, alone)
    files = {"token_key_file": ring.key_file, "token_certificate_file": ring.certificate_file}
    settings = {"registry_url": registry.url, "registry_timeout": PATIENCE, **files}
    app = make_app(**settings)
    runner, client = app.test_cli_runner(), app.extensions["registry"]
    refused = runner.invoke(args=["signing-key", "activate"])
    assert refused.exit_code == 1
    assert "does not know the staged key" in refused.stderr
    client.ping()
    start(registry, base_config, ring.bundle_file)
    done = runner.invoke(args=["signing-key", "activate"])
    assert done.exit_code == 0, done.output
    client.ping()  # still the old key, or the new one: both are known
    later = make_app(**settings)
    later.extensions["registry"].ping()
    assert later.extensions["signer"].current().key_id == ring.views()[0].key_id
    assert runner.invoke(args=["signing-key", "retire", "--force"]).exit_code == 0
    start(registry, base_config, ring.bundle_file)
    later.extensions["registry"].ping()
    start(registry, base_config, alone)
    with pytest.raises(RegistryRefused):
        later.extensions["registry"].ping()
