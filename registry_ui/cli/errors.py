"""Conversion of exceptions into the error messages of ``flask`` commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ..distribution.errors import RegistryError
from ..errors import AppError, Invalid
from ..names import NameInvalid
from ..token_auth.keyring import RotationRefused
from ..token_auth.signer import KeyUnusable


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command so that an expected exception becomes a message and exit status 1."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except Invalid as error:
            parts = [error.message, *error.errors.values(), error.hint]
            raise click.ClickException(" ".join(filter(None, parts))) from None
        except AppError as error:
            raise click.ClickException(f"{error.message} {error.hint}".strip()) from None
        except (NameInvalid, RegistryError, RotationRefused, KeyUnusable, PermissionError) as error:
            raise click.ClickException(str(error)) from None

    return run
