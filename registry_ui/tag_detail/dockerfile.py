"""Reconstruct a Dockerfile from the history of an image. Missing information becomes comments."""

from __future__ import annotations

import json
import re
from itertools import chain, count

from ..distribution.image_config import HistoryLine, ImageConfig
from ..distribution.untrusted import MAX_TEXT, plain_text

HEADER = """\
# Reconstructed from the history of the image: a reading aid, not the file it was built from.
# Names of base images and stages, and the files that were copied, are not in an image.
"""
#: Prefix that the classic builder writes before steps without a layer, and before ADD and COPY.
_NO_LAYER = re.compile(r"/bin/sh -c #\(nop\)\s*", re.ASCII)
#: Shells of RUN instructions on Linux and on Windows, until a SHELL instruction replaces them.
_DEFAULT_SHELLS = ("/bin/sh -c ", "cmd /S /C ")
#: Matches the number of build arguments, which the classic builder and BuildKit write before the
#: arguments and the command: ``|2 A=1 B=x /bin/sh -c …``.
_ARGUMENTS = re.compile(r"\|(\d{1,3}) ", re.ASCII)
#: Matches the start of a heredoc with its delimiter: <<EOF, <<-EOF, <<"EOF".
_HEREDOC = re.compile(r"<<-?([\"']?)([A-Za-z0-9_.]{1,100})\1(?=\s|$)", re.ASCII)
_INSTRUCTION = re.compile(
    r"(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL"
    r"|STOPSIGNAL|USER|VOLUME|WORKDIR)(\s|$)"
)
_COPIED_FILES = re.compile(r"((?:file|dir|multi):[0-9a-f]{12})[0-9a-f]* in (.+)", re.DOTALL)
_PORTS = re.compile(r"(?:map)?\[(.*)\]")
#: Matches a list as Go prints it: ``[/data /logs]``.
_LIST = re.compile(r"\[([^\"\]]*)\]")
_HEALTH = re.compile(r"&\{\[(.*?)\] \"([^\"\s]+)\" \"([^\"\s]+)\" \"([^\"\s]+)\" .*\}", re.DOTALL)
_VARIABLE = re.compile(r"[^\s=]+=")
#: Matches ``&&`` between spaces, but only one space on each side: ``\s*&&`` would take quadratic
#: time on a long run of spaces.
_AND = re.compile(r"(?<=\s)&&(?=\s)")
#: Matches a quoted string. An unterminated quote extends to the end of the text.
_QUOTED_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)', re.DOTALL)


def reconstruct(config: ImageConfig) -> str:
    """Return a Dockerfile that would produce the history of an image; "" if it has no history.

    The text comes from the image, so it is not trusted. HEADER comes first, because a
    comment from the image on the first line could be a parser directive for the builder.
    """
    if not config.history:
        return ""
    lines = [HEADER, "# The base image is not known: its steps are the first ones.", "FROM scratch"]
    shells: tuple[str, ...] = _DEFAULT_SHELLS
    for step in config.history:
        arguments, text = _split_step(step.created_by, shells)
        lines += _convert_step(step, arguments, text)
        if text.startswith("SHELL ") and (match := _LIST.fullmatch(text.removeprefix("SHELL "))):
            shells = (" ".join(match[1].split()) + " ",)
    return "\n".join(lines) + "\n"


def _convert_step(step: HistoryLine, arguments: str, text: str) -> list[str]:
    if not text:
        effect = "without a layer" if step.empty else "that made a layer"
        placeholder = f"# A step {effect}; its instruction is not recorded."
        return [placeholder, *_format_comment(step.comment)]
    if not _INSTRUCTION.match(text):
        return _format_comment(text)
    keyword, _, value = text.partition(" ")
    comment = _format_comment(f"With the build arguments {arguments}") if arguments else []
    return comment + _convert_instruction(keyword, value.strip())


def _split_step(created_by: str, shells: tuple[str, ...]) -> tuple[str, str]:
    """Split a step of the image history into build arguments and the bare instruction.

    Args:
        created_by: the text that the builder recorded for the step.
        shells: shell prefixes, such as ``/bin/sh -c ``, that a builder puts before the command of
            a RUN instruction.

    Returns:
        The build arguments ("" if there are none), and the instruction.
    """
    text = created_by.strip().removesuffix("# buildkit").rstrip()
    if match := _NO_LAYER.match(text):
        return "", text[match.end() :].strip()
    run = text.removeprefix("RUN ")
    if match := _ARGUMENTS.match(run):
        arguments, command = _split_arguments(run[match.end() :], int(match[1]), shells)
        return " ".join(arguments.split()), f"RUN {command}"
    for shell in shells:
        if run.startswith(shell):
            return "", f"RUN {run.removeprefix(shell)}"
    return "", text


def _split_arguments(text: str, count: int, shells: tuple[str, ...]) -> tuple[str, str]:
    """Split the rest of a history line into build arguments and the command after them.

    A value can contain spaces, so the arguments end where the shell begins. The exec form of RUN
    has no shell; then each argument is assumed to be one word.

    Args:
        text: the part of the history line that follows the number of arguments.
        count: the number of arguments.
        shells: shell prefixes that can begin the command.
    """
    for shell in shells:
        prefix, separator, command = f" {text}".partition(f" {shell}")
        if separator:
            return prefix, command
    arguments = text.split(" ", count)
    return " ".join(arguments[:count]), "".join(arguments[count:])


def _convert_instruction(keyword: str, value: str) -> list[str]:
    if keyword in {"ADD", "COPY"} and (match := _COPIED_FILES.fullmatch(value)):
        return [
            f"# From the build context, {match[1]}…",
            _join_lines(f"{keyword} … {match[2].strip()}"),
        ]
    if keyword in {"ADD", "COPY"} and (names := [name[2] for name in _HEREDOC.finditer(value)]):
        # The end delimiters are added, because an open heredoc would include all later steps.
        return ["# What the heredoc holds is not in the history.", f"{keyword} {value}", *names]
    if keyword == "EXPOSE" and (ports := _PORTS.fullmatch(value)):
        return ["EXPOSE " + " ".join(port.removesuffix(":{}") for port in ports[1].split())]
    if keyword in {"SHELL", "VOLUME"} and (match := _LIST.fullmatch(value)):
        return [f"{keyword} " + json.dumps(match[1].split(), ensure_ascii=False)]
    if keyword == "HEALTHCHECK":
        return [_format_healthcheck(value)]
    writers = {
        "RUN": _format_run,
        "CMD": _format_list,
        "ENTRYPOINT": _format_list,
        "ENV": _quote_value,
        "LABEL": _quote_value,
    }
    return [f"{keyword} {writers.get(keyword, _join_lines)(value)}".rstrip()]


def _format_run(value: str) -> str:
    """Return the value of a RUN instruction with each ``&&`` command on its own line.

    Builders join continued lines in the history, so a value with several lines was a heredoc and is
    returned as one.
    """
    if "\n" in value:
        return _format_heredoc(value)
    first, *others = _AND.split(value)
    return "".join((first.rstrip(), *(f" \\\n    && {command.strip()}" for command in others)))


def _format_heredoc(value: str) -> str:
    """Return a multi-line command as a heredoc; a complete heredoc is returned unchanged."""
    first, *lines = value.splitlines()
    names = [match[2] for match in _HEREDOC.finditer(first)]
    if names and all(name in lines for name in names) and lines[-1] == names[-1]:
        return value
    candidates = chain(["EOF"], map("EOF{}".format, count(2)))
    end = next(name for name in candidates if name not in lines)
    return f"<<{end}\n{value.rstrip()}\n{end}"


def _quote_value(value: str) -> str:
    """Return the ``NAME=value`` of an ENV or LABEL instruction, quoted if it contains spaces.

    The history omits these quotes. Text that sets several variables is not quoted.
    """
    name, equals, rest = value.partition("=")
    words = rest.split()
    is_single = not all(_VARIABLE.match(word) for word in words[1:])
    if equals and len(words) > 1 and is_single and not rest.startswith(('"', "'")):
        return f"{name}={json.dumps(rest, ensure_ascii=False)}"
    return _join_lines(value)


def _join_lines(text: str) -> str:
    """End each line but the last with a backslash, so that they remain one instruction."""
    lines = text.splitlines()
    return "\n".join(
        line if number == len(lines) or line.endswith("\\") else line + " \\"
        for number, line in enumerate(lines, start=1)
    )


def _format_list(value: str) -> str:
    """Convert a list that the classic builder wrote as ``["a" "b"]`` to ``["a", "b"]``.

    Text that is not such a list is returned with a backslash at the end of each line but the last.
    """
    if not value.startswith('["'):
        return _join_lines(value)
    try:
        items = json.loads(value.replace('" "', '", "'))
    except (ValueError, RecursionError):
        return _join_lines(value)
    # A JSON escape can decode to a lone surrogate, which can't be encoded as UTF-8.
    return plain_text(json.dumps(items, ensure_ascii=False), 2 * MAX_TEXT)


def _format_healthcheck(value: str) -> str:
    """Convert the printed Go struct in the history to a HEALTHCHECK instruction."""
    if '["NONE"' in value:
        return "HEALTHCHECK NONE"
    match = _HEALTH.fullmatch(value)
    if match is None:
        return _join_lines(f"HEALTHCHECK {value}")
    kind, *arguments = _QUOTED_STRING.findall(match[1]) or [""]
    command = (
        " ".join(arguments) if kind == "CMD-SHELL" else json.dumps(arguments, ensure_ascii=False)
    )
    times = zip(("interval", "timeout", "start-period"), match.groups()[1:], strict=True)
    options = "".join(f"--{name}={time} " for name, time in times if time != "0s")
    return _join_lines(f"HEALTHCHECK {options}CMD {command}")


def _format_comment(text: str) -> list[str]:
    return [f"# {line}" for line in text.splitlines() if line.strip()]
