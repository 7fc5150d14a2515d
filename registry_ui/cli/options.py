"""Options that several ``flask`` commands share, and a decorator that groups several options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

from ..access import Visibility

DRY_RUN = click.option("--dry-run", is_flag=True, help="Print the plan, and do nothing.")
YES = click.option("--yes", is_flag=True, help="Do not ask.")
FOR_GOOD = click.option("--for-good", is_flag=True, help="Skip the trash.")
VISIBILITY = click.option(
    "--visibility",
    type=click.Choice([str(v) for v in Visibility]),
    default=str(Visibility.PRIVATE),
    show_default=True,
)


def group_options(group: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that passes several options to a command as one argument, ``options``.

    Args:
        group: the type of that argument: a dataclass with a field for each of the options.
    """
    names = [field.name for field in fields(group)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*args: Any, **values: Any) -> Any:
            options = group(**{name: values.pop(name) for name in names})
            return command(*args, options=options, **values)

        return run

    return decorate
