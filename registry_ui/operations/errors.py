"""Exceptions that stop long-running work, temporarily or permanently."""

from __future__ import annotations

from ..distribution.errors import RegistryError

#: Message that a page shows while work waits for the registry.
SILENT = "The registry does not answer ({}). This goes on when it does."


class LeaseLost(Exception):
    """Another worker holds the work now; this one must not write anymore."""


class Canceled(Exception):
    """The work was canceled, so nothing more is to be done."""


class Deferred(Exception):
    """The work has to wait for something, such as the end of a write freeze: it continues later."""


class Stalled(Deferred):
    """The registry has not answered for too long. The message is shown on the page of the work."""

    def __init__(self, error: RegistryError) -> None:
        super().__init__(SILENT.format(error))
        self.error = error


class StepFailed(Exception):
    """A step failed, and the other steps continue. The message is shown in the report."""


class OperationFailed(StepFailed):
    """The operation failed, and no step can continue. The message is for its page or report."""
