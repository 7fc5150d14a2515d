"""Which registry is taken: the first that really is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_ui.launch import LaunchError, binary

IS_2 = "echo registry github.com/docker/distribution 2.8.2+ds1"
IS_3 = "echo registry github.com/distribution/distribution/v3 v3.1.1"
CERTIFICATE = Path("/srv/certificate.pem")


class Machine:
    """A machine that has the programs that a test gives it, and nothing else."""

    def __init__(self, directory: Path) -> None:
        self.bin = directory / "bin"
        self.var = directory / "var"
        self.said: list[str] = []
        self.bin.mkdir()
        for tool in ("sh", "cat"):
            (self.bin / tool).symlink_to(f"/bin/{tool}")

    def has(self, name: str, script: str) -> str:
        program = self.bin / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)

    def find(self) -> binary.Registry:
        return binary.find_registry(self.var, (CERTIFICATE,), self.said.append)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.bin))
    return machine


@pytest.mark.parametrize(
    ("script", "version"),
    [
        (IS_2, "2.8.2+ds1"),
        (IS_3, "3.1.1"),
        ("echo registry 1.0 of somebody else", None),
        ("exit 1", None),
        (f"{IS_3}; exit 1", None),
    ],
)
def test_a_registry_says_so_itself(machine, script, version):
    assert binary.version_of(machine.has("registry", script)) == version


def test_a_program_that_is_not_there_is_none(tmp_path):
    assert binary.version_of(tmp_path / "nothing") is None


def test_registry_on_path_comes_before_docker_registry(machine):
    machine.has("docker-registry", IS_2)
    machine.has("registry", IS_3)
    assert machine.find().command == (f"{machine.bin}/registry", "serve")


def test_another_program_of_that_name_is_passed_over(machine):
    machine.has("registry", "echo a registry of births")
    machine.has("docker-registry", IS_2)
    found = machine.find()
    assert found.command == (f"{machine.bin}/docker-registry", "serve")
    assert "2.8.2" in found.description


class TestDebianPackage:
    """Fetched by deploy/debian-package.sh, here with a stand-in for apt and dpkg."""

    @pytest.fixture
    def apt(self, machine):
        for tool in ("realpath", "mkdir", "mktemp", "rm", "mv", "dirname", "chmod", "tail"):
            (machine.bin / tool).symlink_to(f"/usr/bin/{tool}")
        machine.has("apt-get", ': >"docker-registry.deb"')
        machine.has(
            "dpkg-deb",
            'mkdir -p "$3/usr/bin"; p=$3/usr/bin/docker-registry\n'
            f"printf '#!/bin/sh\\n{IS_2}\\n' >$p; chmod +x $p",
        )
        return machine

    def test_is_unpacked_under_var(self, apt):
        found = apt.find()
        program = apt.var / "debian" / "docker-registry" / "usr" / "bin" / "docker-registry"
        assert found.command == (str(program), "serve")
        assert "fetching Debian's docker-registry" in apt.said[0]

    def test_is_fetched_once(self, apt):
        apt.find()
        apt.has("apt-get", "exit 1")
        apt.said.clear()
        apt.find()
        assert apt.said == []

    def test_that_cannot_be_fetched_says_why(self, apt):
        apt.has("apt-get", "echo E: no network; exit 100")
        with pytest.raises(LaunchError):
            apt.find()
        assert any("E: no network" in line for line in apt.said)
        assert list((apt.var / "debian").iterdir()) == []


class TestContainer:
    @pytest.fixture
    def calls(self, machine, tmp_path):
        """Return a function that installs an engine and one that reads what it was asked."""
        log = tmp_path / "calls"

        def engine(name: str, special: str = "") -> None:
            machine.has(name, f'echo "{name} $*" >>{log}\ncase "$*" in {special} esac\nexit 0')

        return engine, lambda: log.read_text().splitlines()

    def test_by_docker_on_the_hosts_network_as_the_user_who_started_it(self, machine, calls):
        engine, _ = calls
        engine("docker")
        command = " ".join(machine.find().command)
        assert command.startswith("docker run --rm --name registry_ui-")
        assert "--network host" in command
        assert f"--user {os.getuid()}:{os.getgid()}" in command
        assert f"--volume {machine.var}/registry:{machine.var}/registry " in command
        assert f"--volume {CERTIFICATE}:{CERTIFICATE}:ro" in command
        assert command.endswith("registry:3.1.1 serve")

    def test_what_a_killed_run_left_over_is_removed(self, machine, calls):
        engine, asked = calls
        engine("docker")
        name = machine.find().command[4]
        assert f"docker rm --force {name}" in asked()

    def test_an_image_that_is_not_there_is_pulled_first(self, machine, calls):
        engine, asked = calls
        engine("docker", "image*) exit 1;;")
        machine.find()
        assert "docker pull --quiet registry:3.1.1" in asked()

    @pytest.mark.parametrize(
        "special", ["info*) exit 1;;", "info*) echo name=rootless;;", "image*|pull*) exit 1;;"]
    )
    def test_podman_where_docker_does_not_answer_or_cannot(self, machine, calls, special):
        engine, _ = calls
        engine("docker", special)
        engine("podman")
        assert machine.find().command[0] == "podman"


def test_a_machine_without_any_says_what_to_install(machine):
    with pytest.raises(LaunchError, match="apt install docker-registry"):
        machine.find()
