"""Why long-running work stops: for a while, or for good."""

from __future__ import annotations

from ..distribution.errors import RegistryError

#: What a page says while work waits.
SILENT = "The registry does not answer ({}). This goes on when it does."


class LeaseLost(Exception):
    """Another worker holds the work now; this one must not write anymore."""


class Canceled(Exception):
    """Somebody canceled the work: nothing more is to be done."""


class Deferred(Exception):
    """The work has to wait for something, such as the end of a write freeze: it continues later."""


class Stalled(Deferred):
    """The registry is silent for too long. The message is for the page of the work."""

    def __init__(self, error: RegistryError) -> None:
        super().__init__(SILENT.format(error))
        self.error = error


class StepFailed(Exception):
    """A step could not be carried out, and the rest continues. The message is for the report."""


class OperationFailed(StepFailed):
    """Nothing more can be done. The message is for the page of the work, or its report."""
