"""What `make run` writes under var: private, whole, and never over what is there."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config import read_env_file
from registry_ui.files import private_directory, try_lock, write_private, write_private_once
from registry_ui.launch import LaunchError
from registry_ui.launch.keys import derived_secret, ensure_secret_key, ensure_signing_key
from registry_ui.launch.settings import read_settings, save_settings, settings_file


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_directories_are_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "file", "text")
        private_directory(tmp_path / "directory")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o600
    assert mode(tmp_path / "directory") == 0o700


def test_a_directory_that_was_open_is_closed(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)
    assert mode(private_directory(tmp_path / "open")) == 0o700


def test_once_means_once_and_leaves_nothing_behind(tmp_path):
    write_private_once(tmp_path / "file", "first")
    write_private_once(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_secret_key_is_long_and_stays(tmp_path):
    ensure_secret_key(tmp_path / "secret_key")
    first = (tmp_path / "secret_key").read_text()
    ensure_secret_key(tmp_path / "secret_key")
    assert (tmp_path / "secret_key").read_text() == first
    assert len(first.strip()) >= 32


class TestSigningKey:
    @pytest.fixture
    def files(self, tmp_path):
        return tmp_path / "token" / "key.pem", tmp_path / "token" / "certificate.pem"

    def test_is_p256_with_a_certificate_of_ten_years(self, files):
        ensure_signing_key(*files)
        key = load_pem_private_key(files[0].read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(files[1].read_bytes())
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert certificate.public_key() == key.public_key()
        lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert lifetime.days >= 3652
        assert [mode(file) for file in files] == [0o600, 0o600]

    def test_stays(self, files):
        ensure_signing_key(*files)
        before = [file.read_bytes() for file in files]
        ensure_signing_key(*files)
        assert [file.read_bytes() for file in files] == before

    def test_gets_its_certificate_if_the_first_start_was_cut_short(self, files):
        ensure_signing_key(*files)
        key = files[0].read_bytes()
        files[1].unlink()
        ensure_signing_key(*files)
        assert files[0].read_bytes() == key
        assert files[1].exists()

    def test_missing_beside_a_certificate_is_said_and_not_made_up(self, files):
        ensure_signing_key(*files)
        files[0].unlink()
        with pytest.raises(LaunchError, match=r"certificate\.pem is there, but its key"):
            ensure_signing_key(*files)
        assert not files[0].exists()

    def test_of_another_certificate_is_refused(self, files, tmp_path):
        ensure_signing_key(*files)
        ensure_signing_key(tmp_path / "key.pem", tmp_path / "certificate.pem")
        with pytest.raises(LaunchError, match="belongs to another key"):
            ensure_signing_key(files[0], tmp_path / "certificate.pem")

    def test_that_is_no_key_is_refused(self, files):
        files[0].parent.mkdir()
        files[0].write_text("nonsense")
        with pytest.raises(LaunchError, match="cannot be read as a private key"):
            ensure_signing_key(*files)


def test_a_derived_secret_depends_on_key_and_purpose_and_shows_neither():
    assert derived_secret("key", "a") == derived_secret("key", "a")
    assert (
        len({derived_secret("key", "a"), derived_secret("key", "b"), derived_secret("k", "a")}) == 3
    )
    assert "key" not in derived_secret("key", "a")


class TestSettings:
    @pytest.fixture
    def environ(self, tmp_path):
        return {"REGISTRY_UI_VAR": str(tmp_path / "var"), "PATH": "/bin"}

    def test_a_first_start_makes_var_and_the_secret_key(self, environ, tmp_path):
        config = read_settings(environ)
        assert mode(tmp_path / "var") == 0o700
        assert (tmp_path / "var" / "secret_key").read_text().strip() == config.secret_key

    def test_a_given_secret_key_is_not_written_to_its_file(self, environ, tmp_path):
        config = read_settings(environ | {"REGISTRY_UI_SECRET_KEY": "x" * 40})
        assert config.secret_key == "x" * 40
        assert not (tmp_path / "var" / "secret_key").exists()

    def test_what_an_earlier_run_noted_does_not_come_back(self, environ):
        first = environ | {"REGISTRY_UI_PORT": "9001", "REGISTRY_UI_REGISTRY_URL": "http://other:5"}
        save_settings(read_settings(first), first)
        config = read_settings(environ)
        assert (config.port, config.registry_url) == (8080, "http://localhost:5050")

    def test_the_note_is_what_commands_need_and_is_private(self, environ):
        given = environ | {
            "REGISTRY_UI_PORT": "9001",
            "REGISTRY_UI_ADMIN_PASSWORD": "only for the first start",
            "REGISTRY_UI_DATABASE_URL": "postgresql://u:p=1@h/d?x=y#z",
            "REGISTRY_UI_REDIS_URL": "",
        }
        config = read_settings(given)
        save_settings(config, given)
        assert mode(settings_file(config.var)) == 0o600
        assert read_env_file(settings_file(config.var)) == {
            "REGISTRY_UI_PORT": "9001",
            "REGISTRY_UI_DATABASE_URL": "postgresql://u:p=1@h/d?x=y#z",
        }

    def test_a_value_of_two_lines_is_refused(self, environ):
        given = environ | {"REGISTRY_UI_REALM": "a\nREGISTRY_UI_PORT=1"}
        with pytest.raises(LaunchError, match="REGISTRY_UI_REALM holds a line break"):
            save_settings(read_settings(given), given)

    def test_a_setting_that_cannot_be_used_is_named(self, environ):
        with pytest.raises(LaunchError, match="REGISTRY_UI_PORT is 'http'"):
            read_settings(environ | {"REGISTRY_UI_PORT": "http"})


def test_a_file_is_locked_once_until_its_descriptor_is_closed(tmp_path):
    descriptor = try_lock(tmp_path / "lock")
    assert descriptor is not None
    assert not os.get_inheritable(descriptor)
    assert mode(tmp_path / "lock") == 0o600
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert try_lock(tmp_path / "lock") is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(descriptor)
    again = try_lock(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_file_that_can_not_be_locked_is_closed(tmp_path, monkeypatch):
    descriptors = []

    def fail(descriptor, _operation):
        descriptors.append(descriptor)
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="No locks available"):
        try_lock(tmp_path / "lock")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(*descriptors)
