"""``make demo``: every sample at its place, by the public doors alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from config import ROOT
from tests.support.stack import ADMIN, PASSWORD, Stack

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(300)
def test_the_demo_fills_a_running_system_and_finds_everything_at_its_place(stack: Stack):
    done = subprocess.run(
        [sys.executable, "-m", "registry_ui.demo"],
        cwd=ROOT,
        env={
            **stack._lines["web"][1],
            "REGISTRY_UI_ADMIN_USERNAME": ADMIN,
            "REGISTRY_UI_ADMIN_PASSWORD": PASSWORD,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.rstrip().endswith("Everything is at its place.")
    listed = json.loads(stack.api("projects/orchard/platform/runtime/-/images").text)["images"]
    assert {image["name"]: image["tag_count"] for image in listed}["agent"] == 300
