"""The Dockerfile of an image, as far as its history tells. What it can't tell is a comment."""

from __future__ import annotations

import json
import re

from ...distribution.image_config import HistoryLine, ImageConfig
from ...distribution.untrusted import MAX_TEXT, plain_text

HEADER = """\
# Reconstructed from the history of the image: a reading aid, not the file it was built from.
# Names of base images and stages, and the files that were copied, are not in an image.
"""
#: What the classic builder writes before a step without a layer, and before every command.
_NO_LAYER = re.compile(r"/bin/sh -c #\(nop\)\s*", re.ASCII)
_SHELL = "/bin/sh -c "
#: Both builders name the arguments of a build before the command: |2 A=1 B=x /bin/sh -c …
_ARGUMENTS = re.compile(r"\|\d{1,3} (.*?) ?/bin/sh -c ", re.ASCII | re.DOTALL)
_INSTRUCTION = re.compile(
    r"(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL"
    r"|STOPSIGNAL|USER|VOLUME|WORKDIR)(\s|$)"
)
_COPIED = re.compile(r"((?:file|dir|multi):[0-9a-f]{12})[0-9a-f]* in (.+)", re.DOTALL)
_PORTS = re.compile(r"(?:map)?\[(.*)\]")
_VOLUMES = re.compile(r"\[([^\"\]]*)\]")
_HEALTH = re.compile(r"&\{\[(.*?)\] \"([^\"\s]+)\" \"([^\"\s]+)\" \"([^\"\s]+)\" .*\}", re.DOTALL)
_VARIABLE = re.compile(r"[^\s=]+=")
#: A space on both sides, of however many: nothing here may take the square of a text's length.
_AND = re.compile(r"(?<=\s)&&(?=\s)")
#: What is never closed is one word, to the end.
_WORDS = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\\?\Z)', re.DOTALL)


def reconstruct(config: ImageConfig) -> str:
    """Return the text of a Dockerfile that would make such a history; "" without any history.

    Every line of it is somebody else's text. Its header comes first: a comment before it
    could be read as a directive for the builder.
    """
    if not config.history:
        return ""
    lines = [HEADER, "# The base image is not known: its steps are the first ones.", "FROM scratch"]
    for step in config.history:
        lines += _step(step)
    return "\n".join(lines) + "\n"


def _step(step: HistoryLine) -> list[str]:
    arguments, text = _cleaned(step.created_by)
    if not text:
        what = "without a layer" if step.empty else "that made a layer"
        return [f"# A step {what}, of which nothing is recorded.", *_comment(step.comment)]
    if not _INSTRUCTION.match(text):
        return _comment(text)
    word, _, value = text.partition(" ")
    told = _comment(f"With the build arguments {arguments}") if arguments else []
    return told + _instruction(word, value.strip())


def _cleaned(created_by: str) -> tuple[str, str]:
    """Return the arguments of a build, and the instruction without what builders put around it."""
    text = created_by.strip().removesuffix("# buildkit").rstrip()
    if found := _NO_LAYER.match(text):
        return "", text[found.end() :].strip()
    run = text.removeprefix("RUN ")
    if found := _ARGUMENTS.match(run):
        return " ".join(found[1].split()), f"RUN {run[found.end() :]}"
    if run.startswith(_SHELL):
        return "", f"RUN {run.removeprefix(_SHELL)}"
    return "", text


def _instruction(word: str, value: str) -> list[str]:
    if word in {"ADD", "COPY"} and (copied := _COPIED.fullmatch(value)):
        return [f"# From the build context, {copied[1]}…", _joined(f"{word} … {copied[2].strip()}")]
    if word == "EXPOSE" and (ports := _PORTS.fullmatch(value)):
        return ["EXPOSE " + " ".join(port.removesuffix(":{}") for port in ports[1].split())]
    if word == "VOLUME" and (volumes := _VOLUMES.fullmatch(value)):
        return ["VOLUME " + json.dumps(volumes[1].split(), ensure_ascii=False)]
    if word == "HEALTHCHECK":
        return [_health(value)]
    writers = {"RUN": _run, "CMD": _list, "ENTRYPOINT": _list, "ENV": _quoted, "LABEL": _quoted}
    return [f"{word} {writers.get(word, _joined)(value)}".rstrip()]


def _run(value: str) -> str:
    """Give each command a line of its own, where all of them stand in one."""
    if "\n" in value:
        return _joined(value)
    first, *more = _AND.split(value)
    return "".join((first.rstrip(), *(f" \\\n    && {command.strip()}" for command in more)))


def _quoted(value: str) -> str:
    """Quote the value of one variable that holds spaces: the history leaves the quotes out."""
    name, equals, rest = value.partition("=")
    words = rest.split()
    alone = not all(_VARIABLE.match(word) for word in words[1:])
    if equals and len(words) > 1 and alone and not rest.startswith(('"', "'")):
        return f"{name}={json.dumps(rest, ensure_ascii=False)}"
    return _joined(value)


def _joined(text: str) -> str:
    """Keep an instruction of several lines one instruction."""
    lines = text.splitlines()
    return "\n".join(
        line if number == len(lines) or line.endswith("\\") else line + " \\"
        for number, line in enumerate(lines, start=1)
    )


def _list(value: str) -> str:
    """Return ``["a", "b"]`` of ``["a" "b"]``, as the classic builder writes it."""
    if not value.startswith('["'):
        return _joined(value)
    try:
        words = json.loads(value.replace('" "', '", "'))
    except (ValueError, RecursionError):
        return _joined(value)
    # Escapes that were read may be half a character, which no page can hold.
    return plain_text(json.dumps(words, ensure_ascii=False), 2 * MAX_TEXT)


def _health(value: str) -> str:
    """Return HEALTHCHECK as one writes it, of the Go value that the history holds."""
    if '["NONE"' in value:
        return "HEALTHCHECK NONE"
    found = _HEALTH.fullmatch(value)
    if found is None:
        return _joined(f"HEALTHCHECK {value}")
    kind, *words = _WORDS.findall(found[1]) or [""]
    command = " ".join(words) if kind == "CMD-SHELL" else json.dumps(words, ensure_ascii=False)
    times = zip(("interval", "timeout", "start-period"), found.groups()[1:], strict=True)
    options = "".join(f"--{name}={time} " for name, time in times if time != "0s")
    return _joined(f"HEALTHCHECK {options}CMD {command}")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in text.splitlines() if line.strip()]
