"""The settings: every one, where it comes from, and what is said of a bad one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from config import ROOT, Config, ConfigError, normalized_database_url, read_env_file

SECRET = "s" * 32


@pytest.fixture
def read(tmp_path):
    """Read settings with nothing else around than what is given."""

    def read(secret=SECRET, **settings):
        environ = {"REGISTRY_UI_VAR": str(tmp_path), "REGISTRY_UI_SECRET_KEY": secret}
        return Config.from_environ(environ | {f"REGISTRY_UI_{k}": v for k, v in settings.items()})

    return read


def test_without_settings_everything_but_the_secret_has_a_value(read, tmp_path):
    config = read()
    assert (config.port, config.registry_port) == (8080, 5050)
    assert config.registry_url == "http://localhost:5050"
    assert config.registry_host == "localhost:5050"
    assert config.public_url == "http://localhost:8080"
    assert config.realm == "http://localhost:8080/jwt/auth"
    assert config.events_url == "http://localhost:8080/api/v4/registry_events"
    assert config.database_url == f"sqlite:///{tmp_path / 'registry_ui.sqlite'}"
    assert config.redis_url is None
    assert config.huey_file == tmp_path / "jobs.sqlite"
    assert config.token_key_file == tmp_path / "token" / "key.pem"
    assert config.token_certificate_file == tmp_path / "token" / "certificate.pem"
    assert (config.token_issuer, config.token_service) == ("registry_ui", "registry")
    assert (config.token_lifetime, config.registry_timeout) == (300, 2.0)
    assert (config.tokens_only, config.docker_sessions) == (False, True)
    assert (config.decisions_kept_days, config.trash_days) == (14, 7)
    assert config.move_grace_days == 30
    assert (config.gate, config.gc_command) == (False, ())
    assert (config.reconcile_interval, config.max_body) == (3600, 1024 * 1024)
    assert (config.trusted_proxies, config.admin_username) == (0, "admin")
    assert config.testing is False


VALUES = {
    "PORT": ("81", "port", 81),
    "REGISTRY_PORT": ("5051", "registry_port", 5051),
    "GATE": ("yes", "gate", True),
    "REGISTRY_BACKEND_PORT": ("5052", "registry_backend_port", 5052),
    "REGISTRY_URL": ("https://r.example/", "registry_url", "https://r.example"),
    "REGISTRY_HOST": ("r.example:5000", "registry_host", "r.example:5000"),
    "REGISTRY_IS_CACHE": ("Yes", "registry_is_cache", "yes"),
    "PUBLIC_URL": ("https://ui.example/", "public_url", "https://ui.example"),
    "DATABASE_URL": ("postgres://u@h/d", "database_url", "postgresql+psycopg://u@h/d"),
    "REDIS_URL": ("redis://h/1", "redis_url", "redis://h/1"),
    "TOKEN_KEY_FILE": ("/k.pem", "token_key_file", Path("/k.pem")),
    "TOKEN_CERTIFICATE_FILE": ("/c.pem", "token_certificate_file", Path("/c.pem")),
    "TOKEN_ISSUER": ("me", "token_issuer", "me"),
    "TOKEN_SERVICE": ("r.example", "token_service", "r.example"),
    "TOKEN_LIFETIME": ("60", "token_lifetime", 60),
    "TOKENS_ONLY": ("yes", "tokens_only", True),
    "DOCKER_SESSIONS": ("No", "docker_sessions", False),
    "DECISIONS_KEPT_DAYS": ("3", "decisions_kept_days", 3),
    "TRASH_DAYS": ("0", "trash_days", 0),
    "MOVE_GRACE_DAYS": ("0", "move_grace_days", 0),
    "GC_COMMAND": ("collect 'my registry'", "gc_command", ("collect", "my registry")),
    "REGISTRY_TIMEOUT": ("0.5", "registry_timeout", 0.5),
    "RECONCILE_INTERVAL": ("60", "reconcile_interval", 60),
    "MAX_BODY": ("1000", "max_body", 1000),
    "TRUSTED_PROXIES": ("1", "trusted_proxies", 1),
    "HSTS_SECONDS": ("300", "hsts_seconds", 300),
    "ADMIN_USERNAME": ("root", "admin_username", "root"),
}


@pytest.mark.parametrize("name", VALUES)
def test_each_setting_is_read_by_its_name(read, name):
    text, attribute, value = VALUES[name]
    assert getattr(read(**{name: f" {text} "}), attribute) == value
    assert getattr(read(), attribute) != value
    assert read(**{name: ""}) == read(), "empty is as absent"


def test_this_table_names_every_setting():
    attributes = {attribute for _, attribute, _ in VALUES.values()}
    fields = {field.name for field in dataclasses.fields(Config)}
    assert fields - attributes == {"var", "secret_key", "testing"}


@pytest.mark.parametrize("name", VALUES)
def test_each_setting_is_in_the_documents(name):
    assert f"REGISTRY_UI_{name}" in (ROOT / "docs" / "configuration.md").read_text()


def test_behind_the_gate_we_reach_the_registry_past_it_and_clients_do_not(read):
    config = read(GATE="yes", REGISTRY_PORT="5050", REGISTRY_BACKEND_PORT="5099")
    assert config.registry_url == "http://localhost:5099"
    assert config.registry_host == "localhost:5050"
    config = read(GATE="yes", REGISTRY_URL="http://inside:5000", REGISTRY_HOST="r.example")
    assert (config.registry_url, config.registry_host) == ("http://inside:5000", "r.example")


BAD = {
    "GATE": ["1", "on"],
    "REGISTRY_BACKEND_PORT": ["0", "x"],
    "PORT": ["0", "65536", "-1", "http", "80.0", "²", "8 0"],
    "REGISTRY_PORT": ["0", "x"],
    "REGISTRY_URL": ["localhost:5050", "ftp://h", "http://", "//h", "http:///x", "http://["],
    "REGISTRY_IS_CACHE": ["maybe", "1"],
    "PUBLIC_URL": ["ui.example", "https://", "javascript:x", "http://h:x", "http://h:99999"],
    "TOKEN_LIFETIME": ["59", "0", "-300", "5m", "300.5", "²"],
    "REGISTRY_TIMEOUT": ["0", "-1", "nan", "inf", "fast", "1e10"],
    "RECONCILE_INTERVAL": ["often", "-1", "1.5"],
    "MAX_BODY": ["1M", "-1"],
    "TRUSTED_PROXIES": ["-1", "yes"],
    "DATABASE_URL": ["nonsense", "localhost/db", "http://h/d"],
    "REDIS_URL": ["localhost:6379", "http://h/0"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(n, text) for n, texts in BAD.items() for text in texts]
)
def test_a_bad_value_names_its_setting(read, name, text):
    with pytest.raises(ConfigError, match=f"REGISTRY_UI_{name}"):
        read(**{name: text})


@pytest.mark.parametrize("more", ["/registry", "/a/b/", "?x=1", "#x"])
def test_a_public_url_with_a_path_is_refused_with_the_address_to_use(read, more):
    with pytest.raises(ConfigError, match=r"can't be served.*such as https://ui\.example:8443$"):
        read(PUBLIC_URL=f"https://ui.example:8443{more}")


# -- old names ---------------------------------------------------------------------


def test_a_setting_is_still_read_by_its_old_name(read):
    assert read(BIN_DAYS=" 3 ").trash_days == 3
    assert read(BIN_DAYS="0").trash_days == 0
    assert read(BIN_DAYS="").trash_days == 7
    assert read(BIN_DAYS="3", TRASH_DAYS="").trash_days == 3
    assert read(BIN_DAYS="", TRASH_DAYS="3").trash_days == 3
    assert "REGISTRY_UI_BIN_DAYS" in (ROOT / "docs" / "configuration.md").read_text()


def test_an_old_name_may_say_the_same_as_the_new_one_and_nothing_else(read):
    assert read(BIN_DAYS="3", TRASH_DAYS="3").trash_days == 3
    message = "REGISTRY_UI_TRASH_DAYS is '5', but REGISTRY_UI_BIN_DAYS, its old name, is '3': "
    with pytest.raises(ConfigError, match=message + "remove REGISTRY_UI_BIN_DAYS"):
        read(BIN_DAYS="3", TRASH_DAYS="5")


@pytest.mark.parametrize(
    ("saved", "given"), [("BIN", "TRASH"), ("TRASH", "BIN"), ("BIN", "BIN"), ("TRASH", "TRASH")]
)
def test_the_environment_is_nearer_than_the_file_by_either_name(read, tmp_path, saved, given):
    (tmp_path / "settings.env").write_text(f"REGISTRY_UI_{saved}_DAYS=3\n")
    assert read().trash_days == 3
    assert read(**{f"{given}_DAYS": "5"}).trash_days == 5
    assert read(**{f"{given}_DAYS": ""}).trash_days == 7


# -- secrets -----------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["", "short", "s" * 31, " " * 40])
def test_there_is_no_secret_key_by_default_and_none_that_is_short(read, secret):
    with pytest.raises(ConfigError, match="REGISTRY_UI_SECRET_KEY"):
        read(secret)


def test_the_secret_key_is_read_from_its_file(read, tmp_path):
    (tmp_path / "secret_key").write_text("f" * 40 + "\n")
    assert read("").secret_key == "f" * 40
    assert read(SECRET).secret_key == SECRET, "the environment is nearer"


@pytest.mark.parametrize(
    ("name", "scheme"), [("DATABASE_URL", "postgresql"), ("REDIS_URL", "redis")]
)
def test_no_secret_is_in_the_repr(read, name, scheme):
    config = read(**{name: f"{scheme}://user:hidden-words@h/0"})
    assert "hidden-words" not in repr(config)
    assert SECRET not in repr(config)


def test_settings_can_not_be_changed_afterwards(read):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().port = 1


# -- where they come from ------------------------------------------------------------


def test_the_environment_is_nearer_than_the_file_and_the_file_than_the_default(read, tmp_path):
    (tmp_path / "settings.env").write_text(
        "# written by make run\n\nREGISTRY_UI_PORT=1111\nREGISTRY_UI_TOKEN_SERVICE = file \nodd\n"
    )
    config = read(PORT="2222")
    assert (config.port, config.token_service, config.registry_port) == (2222, "file", 5050)


def test_the_process_environment_is_what_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("REGISTRY_UI_VAR", str(tmp_path))
    monkeypatch.setenv("REGISTRY_UI_SECRET_KEY", SECRET)
    monkeypatch.setenv("REGISTRY_UI_PORT", "3333")
    assert Config.from_environ().port == 3333


def test_paths_are_relative_to_the_checkout(read):
    assert read(TOKEN_KEY_FILE="keys/k.pem").token_key_file == ROOT / "keys" / "k.pem"
    config = Config.from_environ({"REGISTRY_UI_VAR": "var/x", "REGISTRY_UI_SECRET_KEY": SECRET})
    assert config.var == ROOT / "var" / "x"


def test_a_file_that_is_not_there_holds_nothing(tmp_path):
    assert read_env_file(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("text", "values"),
    [("A=b", {"A": "b"}), ("A = b=c ", {"A": "b=c"}), ("#A=b\n\n B=", {"B": ""}), ("", {})],
)
def test_a_file_holds_names_and_values(tmp_path, text, values):
    (tmp_path / "x").write_text(text)
    assert read_env_file(tmp_path / "x") == values


@pytest.mark.parametrize(
    ("url", "normalised"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql://u@h/d?x=postgres://", "postgresql+psycopg://u@h/d?x=postgres://"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////tmp/x", "sqlite:////tmp/x"),
    ],
)
def test_addresses_of_databases_are_taken_as_other_tools_write_them(url, normalised):
    assert normalized_database_url(url) == normalised
