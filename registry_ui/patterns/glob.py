"""Patterns for tags and image names: globs and RE2 regular expressions. No I/O.

The table "Patterns" in docs/users.md describes the glob language for users. Patterns of
both kinds match in linear time, and only whole names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_letters, ascii_lowercase, digits
from typing import Any, ClassVar, Self

import re2

from ..names import MAX_NAME, MAX_TAG

#: Maximum number of characters of a pattern, including all alternatives of a list.
MAX_PATTERN = 1000
#: Maximum number of bytes that RE2 uses for one pattern.
MAX_MEMORY = 1 << 20
WILDCARDS = frozenset("*?")
_SEPARATOR = re.compile(r"[,\r\n]")
_TOKEN = re.compile(r"\*\*+|.", re.DOTALL)
_EXPRESSIONS = {"*": "[^/]*", "**": ".*", "?": "[^/]"}


class PatternInvalid(ValueError):
    """A pattern that can't be used. The message is meant for the person who typed it."""


@lru_cache(maxsize=2048)
def compile_expression(expression: str) -> Any:
    """Compile an RE2 expression with limited memory; results are cached.

    Raises:
        re2.error: the expression is not valid RE2 syntax, or needs too much memory.
        UnicodeError: the expression contains lone surrogates.
    """
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    return re2.compile(expression, options=options)


@dataclass(frozen=True, slots=True, eq=False)
class Grammar:
    """The grammar of one kind of names, as a state machine over character classes.

    It detects patterns that can't match any valid name.

    Attributes:
        noun: term for such a name, with its article, for messages.
        example: an example of a list of patterns, for messages.
        letters: the characters of the class ``a``; any other character is a class of its own.
        maximum: maximum length of a name.
        steps: the next state by state and character class. The first state is ``start``.
        accepting: the states in which a name is complete.
    """

    noun: str
    example: str
    letters: frozenset[str]
    maximum: int
    steps: Mapping[str, Mapping[str, str]]
    accepting: frozenset[str]

    def check(self, item: str) -> None:
        """Raise PatternInvalid if no valid name can match this pattern.

        Args:
            item: one glob pattern, not a list.
        """
        allowed = self.letters | {char for step in self.steps.values() for char in step}
        for char in item:
            if char not in allowed and char not in WILDCARDS:
                raise PatternInvalid(self._explain_character(char))
        tokens = _split_tokens(item)
        shortest = sum(token not in {"*", "**"} for token in tokens)
        if shortest > self.maximum:
            raise PatternInvalid(f"{self.noun} has at most {self.maximum} characters.".capitalize())
        if not self._find_reachable_states(tokens) & self.accepting:
            raise PatternInvalid(f"“{item}” can't match: {self.noun} is never written like that.")

    def _explain_character(self, char: str) -> str:
        char_text = (
            f"“{char}”" if char.isprintable() and not char.isspace() else f"U+{ord(char):04X}"
        )
        char_text = "A space" if char == " " else char_text
        message = f"{char_text} can't be part of {self.noun}."
        if char.isascii() and char.isupper():
            return f"{message} Image names are lowercase."
        if char in "{}[]()|":
            return f"{message} Separate alternatives by commas: {self.example}."
        return message

    def _find_reachable_states(self, tokens: Iterable[str]) -> set[str]:
        """Return the states that can be reached by text that matches these tokens."""
        states = {"start"}
        for symbol in tokens:
            if symbol in {"*", "**"}:
                states = self._closure(states, slashes=symbol == "**")
            elif symbol == "?":
                states = self._find_next_states(states, slashes=False)
            else:
                char = "a" if symbol in self.letters else symbol
                states = {self.steps[state][char] for state in states if char in self.steps[state]}
        return states

    def _find_next_states(self, states: Iterable[str], *, slashes: bool) -> set[str]:
        return {
            following
            for state in states
            for char, following in self.steps[state].items()
            if slashes or char != "/"
        }

    def _closure(self, states: set[str], *, slashes: bool) -> set[str]:
        reached = states
        while new_states := self._find_next_states(reached, slashes=slashes) - reached:
            reached = reached | new_states
        return reached


#: Grammar of an image name below its project or namespace; the empty name is the root image.
_IN_SEGMENT = {"a": "in", ".": "mark", "_": "underscore", "-": "dash", "/": "mark"}
IMAGES = Grammar(
    "an image name",
    "web, team/**",
    frozenset(ascii_lowercase + digits),
    MAX_NAME,
    {
        "start": {"a": "in"},
        "in": _IN_SEGMENT,
        "mark": {"a": "in"},
        "underscore": {"a": "in", "_": "mark"},
        "dash": {"a": "in", "-": "dash"},
    },
    frozenset({"start", "in"}),
)
TAGS = Grammar(
    "a tag",
    "v*, latest",
    frozenset(ascii_letters + digits),
    MAX_TAG,
    {
        "start": {"a": "in", "_": "in"},
        "in": {"a": "in", "_": "in", ".": "in", "-": "in"},
    },
    frozenset({"in"}),
)


@dataclass(frozen=True, slots=True)
class Glob:
    """A case-sensitive glob, or a comma-separated list of globs; a name must match one of them.

    ``*`` matches any characters within a segment of a name, ``**`` any characters across
    segments, ``?`` one character within a segment. An empty text matches only the empty name,
    which is the root image.

    Attributes:
        items: the globs of the list.
    """

    kind: ClassVar[str] = "glob"

    text: str
    items: tuple[str, ...] = field(init=False, compare=False)
    _compiled: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        items = split(self.text) or ("",)
        object.__setattr__(self, "items", items)
        object.__setattr__(
            self, "_compiled", compile_expression(f"(?s){'|'.join(map(_regex_from_glob, items))}")
        )

    @classmethod
    def parse(cls, text: str, grammar: Grammar) -> Self:
        """Validate a glob entered by a user and return it in canonical form.

        Raises:
            PatternInvalid: the text is too long or too complex, or one of the globs can't
                match any valid name.
        """
        _check_length(text)
        items = split(text)
        for item in items or ("",):
            if not item and "start" not in grammar.accepting:
                raise PatternInvalid(f"Enter a pattern, for example {grammar.example}.")
            grammar.check(item)
        canonical = ", ".join(items)
        _check_length(canonical)
        try:
            return cls(canonical)
        except re2.error:
            raise PatternInvalid("This pattern is too complex. Shorten it.") from None

    def matches(self, name: str) -> bool:
        """Return whether the whole name matches."""
        return self._compiled.fullmatch(name) is not None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class RegularExpression:
    """A regular expression in RE2 syntax. Unlike in a Glob, a comma does not separate a list."""

    kind: ClassVar[str] = "regex"

    text: str
    items: tuple[str, ...] = field(init=False, compare=False)
    _compiled: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", (self.text,))
        object.__setattr__(self, "_compiled", compile_expression(self.text))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Validate a regular expression entered by a user and return it compiled.

        Raises:
            PatternInvalid: the text is too long, or not a valid RE2 expression.
        """
        _check_length(text)
        try:
            return cls(text)
        except (re2.error, UnicodeError):
            raise PatternInvalid(
                "This is not a regular expression of RE2, which has no look-ahead and no "
                "back-references."
            ) from None

    def matches(self, name: str) -> bool:
        """Return whether the whole name matches."""
        return self._compiled.fullmatch(name) is not None

    def __str__(self) -> str:
        return self.text


Pattern = Glob | RegularExpression
KINDS = (Glob.kind, RegularExpression.kind)


def parse(kind: str, text: str, grammar: Grammar) -> Pattern:
    """Validate a pattern and return it as a Glob or RegularExpression.

    Args:
        kind: ``glob`` or ``regex``.
        grammar: the names that a glob must be able to match; not used for a regex.

    Raises:
        PatternInvalid: the kind is unknown or the pattern is not valid.
    """
    if kind == Glob.kind:
        return Glob.parse(text, grammar)
    if kind == RegularExpression.kind:
        return RegularExpression.parse(text)
    raise PatternInvalid(f"A pattern is of the kind {' or '.join(KINDS)}.")


def split(text: str) -> tuple[str, ...]:
    """Split a list at commas and line breaks; return its patterns in order, without duplicates."""
    return tuple(dict.fromkeys(filter(None, map(str.strip, _SEPARATOR.split(text)))))


def has_wildcard(item: str) -> bool:
    """Return whether a pattern contains ``*`` or ``?``, so that it is not a literal name."""
    return not WILDCARDS.isdisjoint(item)


class MatchCounter:
    """Counts the names that match a pattern, and finds items of the pattern that match no name.

    Attributes:
        count: number of names that matched the pattern.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.count = 0
        self._pattern = pattern
        self._unmatched = [type(pattern)(item) for item in pattern.items]

    def add(self, names: Iterable[str]) -> None:
        """Count the names that match the pattern."""
        for name in filter(self._pattern.matches, names):
            self.count += 1
            if self._unmatched:
                self._unmatched = [
                    pattern for pattern in self._unmatched if not pattern.matches(name)
                ]

    @property
    def unmatched(self) -> list[str]:
        """The items of the pattern's list that have matched no name."""
        return [pattern.text for pattern in self._unmatched]


def _check_length(text: str) -> None:
    if len(text) > MAX_PATTERN:
        raise PatternInvalid(f"A pattern has at most {MAX_PATTERN:,} characters.")


def _split_tokens(item: str) -> list[str]:
    return ["**" if len(token) > 1 else token for token in _TOKEN.findall(item)]


def _regex_from_glob(item: str) -> str:
    return "".join(_EXPRESSIONS.get(token) or re.escape(token) for token in _split_tokens(item))
