"""`make run` knows the collector of the registry that it starts."""

from __future__ import annotations

from registry_ui.launch.binary import Registry
from registry_ui.launch.registry import with_collector

REGISTRY = Registry("a registry", ("registry", "serve"), ("my registry", "garbage-collect"))
NAME = "REGISTRY_UI_GC_COMMAND"


def test_the_command_names_the_registrys_own_configuration(base_config):
    found = with_collector({"PATH": "/bin"}, base_config, REGISTRY)
    file = base_config.var / "registry" / "config.yml"
    assert found == {"PATH": "/bin", NAME: f"'my registry' garbage-collect {file}"}


def test_a_command_that_is_set_stays(base_config):
    assert with_collector({NAME: "mine"}, base_config, REGISTRY) == {NAME: "mine"}
