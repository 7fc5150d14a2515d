"""Settings: each can be set, a bad one is named, no secret has a default."""

import pytest

from config import Config, ConfigError, normalized_database_url

SECRET = "0123456789abcdef0123456789abcdef"


def read(tmp_path, **settings):
    environ = {f"REGISTRY_UI_{name}": value for name, value in settings.items()}
    return Config.from_environ(
        {"REGISTRY_UI_VAR": str(tmp_path), "REGISTRY_UI_SECRET_KEY": SECRET, **environ}
    )


def test_the_defaults_are_those_of_the_documents(tmp_path):
    config = read(tmp_path)
    assert (config.port, config.registry_port) == (8080, 5050)
    assert config.public_url == "http://localhost:8080"
    assert (config.registry_url, config.registry_host) == (
        "http://localhost:5050",
        "localhost:5050",
    )
    assert config.realm == "http://localhost:8080/jwt/auth"
    assert config.events_url == "http://localhost:8080/api/v4/registry_events"
    assert config.database_url == f"sqlite:///{tmp_path}/registry_ui.sqlite"
    assert (config.redis_url, config.admin_username, config.token_lifetime) == (None, "admin", 300)


def test_ports_move_the_addresses_with_them(tmp_path):
    config = read(tmp_path, PORT="9000", REGISTRY_PORT="9001")
    assert config.public_url == "http://localhost:9000"
    assert config.registry_host == "localhost:9001"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", "²"),
        ("PORT", "-1"),
        ("REGISTRY_PORT", "1e3"),
        ("REGISTRY_URL", "localhost:5000"),
        ("REGISTRY_URL", "ftp://x"),
        ("PUBLIC_URL", "https://"),
        ("TOKEN_LIFETIME", "59"),
        ("TOKEN_LIFETIME", "abc"),
        ("REGISTRY_TIMEOUT", "0"),
        ("REGISTRY_TIMEOUT", "nan"),
        ("MAX_BODY", "1.5"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path, name, value):
    with pytest.raises(ConfigError, match=f"REGISTRY_UI_{name}"):
        read(tmp_path, **{name: value})


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_there_is_no_default_secret(tmp_path, secret):
    with pytest.raises(ConfigError, match="secret key"):
        read(tmp_path, SECRET_KEY=secret)


def test_the_secret_key_comes_from_its_file(tmp_path):
    (tmp_path / "secret_key").write_text(SECRET + "\n")
    assert read(tmp_path, SECRET_KEY="").secret_key == SECRET


def test_the_note_of_the_last_run_is_read_and_the_environment_wins(tmp_path):
    note = "# a note\nREGISTRY_UI_PORT=9000\nREGISTRY_UI_REGISTRY_PORT=9001\n"
    (tmp_path / "settings.env").write_text(note)
    config = read(tmp_path, PORT="9999")
    assert (config.port, config.registry_port) == (9999, 9001)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_postgresql_is_spoken_to_by_psycopg_3(scheme):
    assert normalized_database_url(f"{scheme}://u@h/d") == "postgresql+psycopg://u@h/d"
    assert normalized_database_url("sqlite:///x") == "sqlite:///x"


def test_secrets_are_not_in_the_representation(tmp_path):
    config = read(tmp_path, DATABASE_URL="postgresql://u:hidden@h/d", REDIS_URL="redis://:hidden@h")
    assert SECRET not in repr(config)
    assert "hidden" not in repr(config)


COLLECTOR = "registry garbage-collect /etc/config.yml"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", ()),
        (COLLECTOR, ("registry", "garbage-collect", "/etc/config.yml")),
        ("'/my scripts/collect' now", ("/my scripts/collect", "now")),
        (
            "docker run -m 512m registry:2 garbage-collect -q /c",
            ("docker", "run", "-m", "512m", "registry:2", "garbage-collect", "-q", "/c"),
        ),
    ],
)
def test_the_collector_is_a_command_in_words_of_the_shell(tmp_path, command, words):
    assert read(tmp_path, GC_COMMAND=command).gc_command == words


@pytest.mark.parametrize(
    "command",
    [
        f"{COLLECTOR} --delete-untagged",
        f"{COLLECTOR} --delete-untagged=true",
        f"{COLLECTOR} -m",
        "registry garbage-collect -dm /etc/config.yml",
        f"sh -c '{COLLECTOR} -m'",
        "my-script --delete-untagged",
        "registry 'unfinished",
    ],
)
def test_a_collector_that_breaks_images_is_refused(tmp_path, command):
    with pytest.raises(ConfigError, match="REGISTRY_UI_GC_COMMAND"):
        read(tmp_path, GC_COMMAND=command)
