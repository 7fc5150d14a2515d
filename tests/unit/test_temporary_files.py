"""Where the files of tests are kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.support.temporary_files import keep_files_in_memory


@pytest.fixture(autouse=True)
def temporary_folder(monkeypatch):
    """No folder is chosen yet; the one of this run is chosen again at the end."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", "")
    monkeypatch.delenv("TMPDIR")


def test_temporary_files_are_made_in_memory_where_others_can_list_nothing(tmp_path):
    keep_files_in_memory(tmp_path, min_free=1)
    (folder,) = tmp_path.iterdir()
    assert tempfile.gettempdir() == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o711


def test_temporary_files_stay_where_the_developer_wants_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    keep_files_in_memory(tmp_path, min_free=1)
    assert tempfile.gettempdir() == "/var/tmp"


def test_temporary_files_stay_on_the_disk_if_memory_is_short(tmp_path):
    keep_files_in_memory(tmp_path, min_free=1 << 60)
    assert tempfile.tempdir is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prepare", [Path.touch, lambda path: path.symlink_to("/etc")])
def test_what_another_user_prepared_is_not_used(tmp_path, monkeypatch, prepare):
    keep_files_in_memory(tmp_path, min_free=1)
    (folder,) = tmp_path.iterdir()
    folder.rmdir()
    prepare(folder)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.delenv("TMPDIR")
    keep_files_in_memory(tmp_path, min_free=1)
    assert tempfile.tempdir is None
