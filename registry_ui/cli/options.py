"""Options that several commands share, and a decorator that groups the options of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan, and do nothing.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")
FOR_GOOD = click.option("--for-good", is_flag=True, help="Skip the trash.")


def group_options(group: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a command so that it gets some of its options as one argument, ``options``.

    Args:
        group: a dataclass with a field for each of these options.
    """
    names = [field.name for field in fields(group)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*args: Any, **values: Any) -> Any:
            options = group(**{name: values.pop(name) for name in names})
            return command(*args, options=options, **values)

        return run

    return decorate
