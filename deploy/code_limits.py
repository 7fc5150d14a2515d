"""Fail if code exceeds a limit: lines of a function or file, parameters, width of a template.

A function that needs more parameters should take a dataclass; a function that needs more lines
does more than one thing, and should be split. A template that needs a wider line should use a
filter or a macro. Two rules hold for tests: what several of them need is in ``tests/support``, not
in one of them, and a patch names an object, not a dotted string, which no tool follows when a
module is renamed. Run by ``make check``.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FUNCTION_LINES = 40
MAX_FILE_LINES = 400
MAX_PARAMETERS = 5
MAX_TEMPLATE_WIDTH = 120
PLACES = ("config.py", "wsgi.py", "registry_ui", "deploy")
TEMPLATES = Path("templates")
TESTS = Path("tests")
#: Number of arguments with which a patch names an object: of fewer, the first is a dotted string.
ARGUMENTS_OF_PATCHES = {"setattr": 3, "delattr": 2}
#: What starts a patch of unittest.mock that takes a dotted string, as it is written in code.
MOCK_PATCHES = {"mock.patch", "patch", "unittest.mock.patch"}


def excesses(file: Path) -> Iterator[str]:
    """Yield one line for each limit that a file exceeds."""
    text = file.read_text()
    if (lines := text.count("\n")) > MAX_FILE_LINES:
        yield f"{file}: {lines} lines, more than {MAX_FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        place = f"{file}:{node.lineno}: {node.name}"
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES:
            yield f"{place} has {lines} lines, more than {MAX_FUNCTION_LINES}"
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        names = [each.arg for each in arguments if each.arg not in {"self", "cls"}]
        if len(names) > MAX_PARAMETERS:
            yield f"{place} has {len(names)} parameters, more than {MAX_PARAMETERS}"


def wide_lines(file: Path) -> Iterator[str]:
    """Yield one line for each line of a template that is too wide."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if len(line) > MAX_TEMPLATE_WIDTH:
            yield f"{file}:{number}: {len(line)} characters, more than {MAX_TEMPLATE_WIDTH}"


def misuses_in_tests(file: Path) -> Iterator[str]:
    """Yield one line for each import from a test module, and for each patch of a dotted string."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom) and _imports_test_module(node):
            yield f"{file}:{node.lineno}: imports from a test module; use tests/support"
        elif isinstance(node, ast.Call) and _patches_dotted_string(node):
            yield f"{file}:{node.lineno}: patches a dotted string; import the module and name it"


def _imports_test_module(node: ast.Import | ast.ImportFrom) -> bool:
    start = "" if isinstance(node, ast.Import) else f"{node.module or ''}."
    segments = {part for each in node.names for part in f"{start}{each.name}".split(".")}
    return any(segment.startswith("test_") for segment in segments)


def _patches_dotted_string(call: ast.Call) -> bool:
    if ast.unparse(call.func) in MOCK_PATCHES:
        return True
    if not isinstance(call.func, ast.Attribute):
        return False
    return len(call.args) < ARGUMENTS_OF_PATCHES.get(call.func.attr, 0)


def main() -> int:
    """Check all files, print a line for each exceeded limit, and return the exit status."""
    files = [
        file
        for place in map(Path, PLACES)
        for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))
    ]
    found = [line for file in files for line in excesses(file)]
    found += [line for file in sorted(TEMPLATES.rglob("*.html")) for line in wide_lines(file)]
    found += [line for file in sorted(TESTS.rglob("*.py")) for line in misuses_in_tests(file)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
