"""``make audit`` does not pass for an audit that could not be made."""

from __future__ import annotations

import subprocess

from config import ROOT


def test_a_package_that_can_not_be_audited_fails_the_audit():
    """Without --strict, pip-audit skips it and ends well: behind a mirror, all of them."""
    command = ["make", "--dry-run", "audit"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (audit,) = [line.split() for line in done.stdout.splitlines() if "pip-audit" in line]
    assert "--strict" in audit
