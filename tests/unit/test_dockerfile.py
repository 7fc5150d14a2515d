"""Dockerfiles made again of histories as both builders write them."""

from __future__ import annotations

import time

import pytest

from registry_ui.distribution.image_config import HistoryLine, ImageConfig
from registry_ui.tag_detail.dockerfile import HEADER, reconstruct

#: What a history says, and what one would have written.
STEPS = {
    "/bin/sh -c #(nop) ADD file:1234567890abcdef1234567890abcdef in / ": (
        "# From the build context, file:1234567890ab…\nADD … /"
    ),
    '/bin/sh -c #(nop)  CMD ["bash" "-l"]': 'CMD ["bash", "-l"]',
    '/bin/sh -c #(nop)  ENTRYPOINT ["start.sh"]': 'ENTRYPOINT ["start.sh"]',
    "/bin/sh -c apt-get update && apt-get install -y curl": (
        "RUN apt-get update \\\n    && apt-get install -y curl"
    ),
    "RUN /bin/sh -c make # buildkit": "RUN make",
    "RUN |2 A=1 B=two /bin/sh -c make all # buildkit": (
        "# With the build arguments A=1 B=two\nRUN make all"
    ),
    "|1 A=1 /bin/sh -c make all": "# With the build arguments A=1\nRUN make all",
    "RUN |0 /bin/sh -c make # buildkit": "RUN make",
    "RUN a  &&\tb && c&&d": "RUN a \\\n    && b \\\n    && c&&d",
    "COPY --chown=app . /srv # buildkit": "COPY --chown=app . /srv",
    "ENV PATH=/usr/bin:/bin": "ENV PATH=/usr/bin:/bin",
    "ENV GREETING=good day": 'ENV GREETING="good day"',
    "ENV A=1 B=2": "ENV A=1 B=2",
    "EXPOSE map[80/tcp:{} 443/tcp:{}]": "EXPOSE 80/tcp 443/tcp",
    "EXPOSE [8080/tcp]": "EXPOSE 8080/tcp",
    "VOLUME [/data /logs]": 'VOLUME ["/data", "/logs"]',
    "WORKDIR /srv": "WORKDIR /srv",
    "USER app": "USER app",
    'HEALTHCHECK &{["CMD" "start.sh" "--check"] "30s" "3s" "0s" "0s" \'\\x03\'}': (
        'HEALTHCHECK --interval=30s --timeout=3s CMD ["start.sh", "--check"]'
    ),
    'HEALTHCHECK &{["CMD-SHELL" "curl -f localhost"] "0s" "0s" "0s" "0s" \'\\x00\'}': (
        "HEALTHCHECK CMD curl -f localhost"
    ),
    "RUN /bin/sh -c set -e\necho one\necho two # buildkit": (
        "RUN <<EOF\nset -e\necho one\necho two\nEOF"
    ),
    "RUN /bin/sh -c cat <<EOF\n1\nEOF\necho EOF # buildkit": (
        "RUN <<EOF2\ncat <<EOF\n1\nEOF\necho EOF\nEOF2"
    ),
    "RUN /bin/sh -c cat <<EOF > /etc/motd\nhello\nEOF # buildkit": (
        "RUN cat <<EOF > /etc/motd\nhello\nEOF"
    ),
    "COPY <<EOF /etc/motd # buildkit": (
        "# What the heredoc holds is not in the history.\nCOPY <<EOF /etc/motd\nEOF"
    ),
    "RUN |1 GREETING=good day /bin/sh -c make # buildkit": (
        "# With the build arguments GREETING=good day\nRUN make"
    ),
    "RUN |2 A=1 B=2 make all # buildkit": "# With the build arguments A=1 B=2\nRUN make all",
    "RUN cmd /S /C dir # buildkit": "RUN dir",
    "SHELL [/bin/bash -o pipefail -c]": 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
    "debootstrap --variant=minbase": "# debootstrap --variant=minbase",
    "": "# A step that made a layer; its instruction is not recorded.",
}


def written(*steps, comment=""):
    lines = tuple(HistoryLine(None, step, comment, empty=False) for step in steps)
    text = reconstruct(ImageConfig(history=lines))
    return text.partition("FROM scratch\n")


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_written_as_one_writes_it(step):
    assert written(step)[2] == STEPS[step] + "\n"


def test_commands_are_those_of_the_shell_that_was_chosen_before():
    text = written(
        "RUN /bin/sh -c one # buildkit",
        "SHELL [/bin/bash -o pipefail -c]",
        "RUN /bin/bash -o pipefail -c two | tee x # buildkit",
        "RUN |1 A=b c /bin/bash -o pipefail -c three # buildkit",
        "/bin/sh -c #(nop)  SHELL [/bin/ash -c]",
        "/bin/ash -c four",
    )[2]
    assert [line for line in text.splitlines() if line.startswith(("RUN", "#"))] == [
        "RUN one",
        "RUN two | tee x",
        "# With the build arguments A=b c",
        "RUN three",
        "RUN four",
    ]


def test_it_says_what_it_is_before_anything_else():
    before, start, _ = written("# syntax=evil.example/frontend\nRUN x")
    assert before.startswith(HEADER)
    assert start == "FROM scratch\n"
    assert "base image is not known" in before


def test_a_comment_stays_a_comment_however_many_lines_it_has():
    text = written("no instruction\nRUN rm -rf /\n\n# escape=`")[2]
    assert all(line.startswith("#") for line in text.splitlines())


def test_an_image_without_a_history_has_none():
    assert reconstruct(ImageConfig()) == ""


def test_half_a_character_is_written_as_what_every_page_can_hold():
    assert written(r'CMD ["\ud800" "é"]')[2].encode() == 'CMD ["?", "é"]\n'.encode()


#: Each is a step that takes long where the square of its length counts, or that goes too deep.
HOSTILE = (
    "HEALTHCHECK &{[" + '"a" ' * 1000,
    'HEALTHCHECK &{["' + '\\"' * 2000 + '] "a" "b" "c" }',
    "HEALTHCHECK &{[" + '] "a" "b" "c" ' * 290 + "x",
    "RUN |1 " + "a" * 4000,
    "RUN a" + " " * 4080 + "b",
    "RUN a" + "\t&&" * 1300,
    'CMD ["' + '" "' * 1300,
    'CMD ["a", ' + "[" * 4000,
    "VOLUME [" + "[" * 4000,
)


@pytest.mark.parametrize("step", HOSTILE)
def test_a_history_of_steps_that_are_made_to_be_slow_is_written_at_once(step):
    began = time.thread_time()
    assert written(*[step] * 100)[2]
    assert time.thread_time() - began < 0.5
