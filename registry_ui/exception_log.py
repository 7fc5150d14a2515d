"""Context manager that logs an exception, so that the code after the block still runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_exceptions(logger: logging.Logger, message: str, *args: object) -> Iterator[None]:
    """Run the block; log an exception with its traceback, and continue after the block.

    Args:
        logger: the logger of the calling module.
        message: the message, with a placeholder for each of ``args``.
    """
    try:
        yield
    except Exception:
        # Skip contextlib's __exit__() and this function: the log names the function of the block.
        logger.exception(message, *args, stacklevel=3)
