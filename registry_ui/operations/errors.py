"""Exceptions that stop long-running work, temporarily or permanently."""

from __future__ import annotations

from ..distribution.errors import RegistryError

#: Message that the page of an operation shows while the operation waits for the registry.
SILENT = "The registry does not answer ({}). This goes on when it does."


class LeaseLost(Exception):
    """The lease is now held by a different worker, so this worker must not write anymore."""


class Canceled(Exception):
    """The operation was canceled, so its remaining steps must not be carried out."""


class Deferred(Exception):
    """The operation has to wait, for example until a write freeze ends, and continues later."""


class Stalled(Deferred):
    """The registry has not answered for too long. The operation's page shows the message."""

    def __init__(self, error: RegistryError) -> None:
        super().__init__(SILENT.format(error))
        self.error = error


class StepFailed(Exception):
    """One step failed, and the other steps continue. The message is shown in the report."""


class OperationFailed(StepFailed):
    """The whole operation failed. The message is shown on its page or in its report."""
