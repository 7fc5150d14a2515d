"""What a machine lacks for the tests: installed by root, unpacked by others, named at the end."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import ROOT
from tests.support import processes
from tests.support.missing_programs import describe
from tests.support.processes import UNPACKED, required

LIST = ROOT / "deploy" / "test-packages.txt"
PROGRAMS = """\
# A comment.
anvil anvil-core
hammer,mallet tools
tongs tools
/no/such/font fonts installed
"""
TOOLS = (
    *("basename", "cat", "chmod", "cut", "dirname", "find", "grep", "head", "ls", "mkdir"),
    *("mktemp", "mv", "paste", "realpath", "rm", "sed", "sh", "sort", "tail", "touch"),
)
#: Knows every package but `fonts`; notes what it is asked to do.
APT_GET = """\
echo "$*" >>"{calls}"
case "$*" in
*"-s install"*fonts) exit 100 ;;
*"-s install"*) for name; do :; done; echo "Inst $name (1 Debian [amd64])"
    echo 'Inst libanvil1 (2 Debian [amd64])'; echo 'Inst libc6 [1] (2 Debian [amd64])' ;;
*download*) all=$*; for name in ${{all##* download }}; do : >"$name.deb"; done ;;
*install*) [ ! -x "{policy}" ] || echo 'services stay down' >>"{calls}" ;;
esac
"""
DPKG_DEB = """\
mkdir -p "$3/usr/bin" "$3/usr/lib/here"
case $2 in
*libanvil1*) : >"$3/usr/lib/here/libanvil.so.1" ;;
*) for name in anvil hammer tongs; do
    printf '#!/bin/sh\\necho "$0 $LD_LIBRARY_PATH $*"\\n' >"$3/usr/bin/$name"
    chmod +x "$3/usr/bin/$name"
done ;;
esac
"""


class Machine:
    """A checkout with a list of its own, on a machine with few programs and a pretended apt."""

    def __init__(self, home: Path, user: int) -> None:
        self.bin, self.checkout = home / "bin", home / "checkout"
        self.calls, self.policy = home / "calls", home / "policy-rc.d"
        (self.checkout / "deploy").mkdir(parents=True)
        self.bin.mkdir()
        script = (ROOT / "deploy" / "test-programs.sh").read_text()
        for path in ("/usr/sbin/policy-rc.d", "PATH=$PATH:/usr/sbin\n"):
            assert path in script
        script = script.replace("/usr/sbin/policy-rc.d", str(self.policy))
        script = script.replace("PATH=$PATH:/usr/sbin\n", "")
        (self.checkout / "deploy" / "test-programs.sh").write_text(script)
        shutil.copy(ROOT / "deploy" / "debian-package.sh", self.checkout / "deploy")
        (self.checkout / "deploy" / LIST.name).write_text(PROGRAMS)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.has("id", f"echo {user}")
        self.has("ldd", "echo 'libanvil.so.1 => somewhere'")
        self.has("apt-get", APT_GET.format(calls=self.calls, policy=self.policy))
        self.has("dpkg-deb", DPKG_DEB)

    def has(self, name: str, script: str = "") -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def run(self) -> tuple[str, list[str]]:
        """Run the script, which must succeed; return what it says, and what it asks apt to do."""
        self.calls.write_text("")
        done = subprocess.run(
            ["sh", "deploy/test-programs.sh"],
            cwd=self.checkout,
            env={"PATH": str(self.bin)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout == ""
        return done.stderr, self.calls.read_text().splitlines()

    @property
    def unpacked(self) -> Path:
        return self.checkout / "var" / "debian" / "tests"

    @property
    def commands(self) -> list[str]:
        return sorted(path.name for path in (self.unpacked / "bin").iterdir())


@pytest.fixture
def as_root(tmp_path):
    return Machine(tmp_path, user=0)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, user=1000)


def downloads(calls: list[str]) -> list[str]:
    return [call.partition(" download ")[2] for call in calls if " download " in call]


def installs(calls: list[str]) -> list[list[str]]:
    return [call.split() for call in calls if "--yes" in call]


def test_nothing_happens_if_nothing_is_missing(as_root):
    (as_root.checkout / "deploy" / LIST.name).write_text(
        f"# A comment.\nhammer,mallet tools\n{LIST.parent}/test-*.txt fonts installed\n"
    )
    as_root.has("mallet")
    assert as_root.run() == ("", [])
    assert not (as_root.checkout / "var").exists()


@pytest.mark.parametrize("user", ["as_root", "machine"])
def test_nothing_happens_without_apt(user, request):
    machine = request.getfixturevalue(user)
    (machine.bin / "apt-get").unlink()
    assert machine.run() == ("", [])


def test_root_installs_the_packages_that_exist_at_once(as_root):
    as_root.has("anvil")
    said, calls = as_root.run()
    assert said == "Installing for the tests: tools\n"
    (command,) = installs(calls)
    assert command[-3:] == ["--yes", "--no-install-recommends", "tools"]


def test_services_stay_down_while_root_installs(as_root):
    _, calls = as_root.run()
    assert "services stay down" in calls
    assert not as_root.policy.exists()


def test_services_may_start_again_if_the_installation_fails(as_root):
    as_root.has(
        "apt-get", f'case "$*" in *--yes*) cat {as_root.policy}; echo E: no space; exit 100; esac'
    )
    said, _ = as_root.run()
    assert "exit 101" in said
    assert "E: no space" in said
    assert not as_root.policy.exists()


def test_the_policy_of_the_machine_is_kept(as_root):
    as_root.policy.write_text("its own")
    as_root.run()
    assert as_root.policy.read_text() == "its own"


def test_lists_that_are_too_old_are_fetched_again(as_root):
    fresh = as_root.checkout / "fresh"
    script = f'case "$*" in *update*) : >{fresh};; *--yes*) [ -e {fresh} ];; esac'
    as_root.has("apt-get", f'echo "$*" >>{as_root.calls}; {script}')
    said, calls = as_root.run()
    assert said == "Installing for the tests: anvil-core fonts tools\n"
    assert len(installs(calls)) == 2


def test_others_get_programs_that_run_with_the_libraries_they_need(machine):
    said, calls = machine.run()
    assert machine.commands == ["anvil", "hammer", "tongs"]
    assert said.splitlines() == [
        f"Unpacking for the tests, under var/debian/tests: {name}"
        for name in ("anvil-core", "tools")
    ]
    assert downloads(calls) == ["anvil-core libanvil1", "libanvil1 tools"]
    command = [machine.unpacked / "bin" / "hammer", "a b", "c"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    root = machine.unpacked / "tools" / "usr"
    assert printed == f"{root}/bin/hammer {root}/lib/here a b c\n"


def test_what_is_unpacked_is_not_fetched_again(machine):
    machine.run()
    assert machine.run() == ("", [])
    assert machine.commands == ["anvil", "hammer", "tongs"]


def test_a_checkout_that_has_moved_has_commands_that_work(machine):
    machine.run()
    moved = machine.checkout.rename(machine.checkout.with_name("moved"))
    machine.checkout = moved
    machine.run()
    assert str(moved) in subprocess.check_output([machine.unpacked / "bin" / "tongs"], text=True)


def test_a_program_whose_libraries_are_missing_is_left_out(machine):
    machine.has("ldd", 'case $1 in *anvil) echo "libx.so => not found";; esac')
    machine.run()
    assert machine.commands == ["hammer", "tongs"]


def test_a_package_that_cannot_be_fetched_is_no_error_and_asked_for_once_a_day(machine):
    machine.has("apt-get", f'echo "$*" >>{machine.calls}; echo E: no network; exit 100')
    said, calls = machine.run()
    assert said.count("That did not work: E: no network") == 2
    assert calls
    assert machine.run() == ("", [])
    for failure in machine.unpacked.glob("*.failed"):
        os.utime(failure, (0, 0))
    assert machine.run()[1] == calls


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield what calls of ``required`` ask for."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "required":
            yield ",".join(ast.literal_eval(argument) for argument in call.args)


def test_every_program_that_a_test_requires_is_in_the_list():
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    listed = {line.split()[0] for line in lines}
    files = [file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)]
    wanted = {name for file in files for name in names_in(ast.parse(file.read_text()))}
    assert len(wanted) > 10
    assert wanted <= listed


def test_unpacked_programs_are_found_after_those_of_the_machine(monkeypatch, tmp_path):
    assert UNPACKED == ROOT / "var" / "debian" / "tests" / "bin"
    monkeypatch.setattr(processes, "UNPACKED", tmp_path / "unpacked")
    for directory, names in (("unpacked", ("anvil-x", "anvil-y")), ("machine", ("anvil-y",))):
        (tmp_path / directory).mkdir()
        for name in names:
            (tmp_path / directory / name).write_text("#!/bin/sh\n")
            (tmp_path / directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "machine"))
    assert required("anvil-x") == str(tmp_path / "unpacked" / "anvil-x")
    assert required("anvil-y") == str(tmp_path / "machine" / "anvil-y")


def test_programs_are_named_once_with_the_number_of_tests():
    missing = "chromium or google-chrome is not installed"
    reasons = ["3.x needs no placeholder", missing, missing, "anvil is not installed"]
    assert describe(reasons) == "skipped 3 tests, because these are not installed: anvil, chromium"
    assert describe(["ctr needs root"]) == "skipped 1 test, because these need root: ctr"
    assert describe(reasons[:1]) == ""


@pytest.mark.parametrize("parallel", [(), ("--numprocesses", "1")])
def test_the_line_is_the_last_before_the_counts(tmp_path, parallel):
    file = tmp_path / "test_forge.py"
    file.write_text(
        "import pytest\nfrom tests.support.processes import required\n"
        "@pytest.mark.parametrize('name', 'ab')\n"
        "def test_it(name):\n    required('no-anvil', 'no-' + name)\n"
    )
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\naddopts = -ra -p tests.support.missing_programs")
    command = [sys.executable, "-m", "pytest", *parallel, "-c", str(settings), str(file)]
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    )
    line, counts = done.stdout.splitlines()[-2:]
    assert line == "skipped 2 tests, because these are not installed: no-anvil"
    assert "2 skipped" in counts
