"""Says at the end of a run which programs the skipped tests would need."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Generator, Iterable, Sized

import pytest

REASON = re.compile(r"(\S+)(?: or \S+)* (is not installed|needs root)$")
SENTENCES = {"is not installed": "these are not installed", "needs root": "these need root"}


def describe(reasons: Iterable[str]) -> str:
    """Return a line about the reasons for which tests were skipped; "" if no program is missing."""
    programs = defaultdict(list)
    for reason in reasons:
        if match := REASON.fullmatch(reason):
            programs[match[2]].append(match[1])
    return "; ".join(
        f"skipped {count_tests(programs[end])}, because {sentence}: {', '.join(names)}"
        for end, sentence in SENTENCES.items()
        if (names := sorted(set(programs[end])))
    )


def count_tests(tests: Sized) -> str:
    """Return the number of tests in words."""
    return "1 test" if len(tests) == 1 else f"{len(tests)} tests"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, None, None]:
    """Write the line after all other summaries, which can be hundreds of lines long."""
    yield
    reports = terminalreporter.stats.get("skipped", [])
    reasons = (report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    if line := describe(reasons):
        terminalreporter.write_line(line)
