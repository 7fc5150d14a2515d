"""Validation shared by access and deploy tokens: name, scopes, expiry, and path restriction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from ..access import SCOPES, PathRestriction
from ..errors import Invalid
from ..models import utc_now
from ..names import NameInvalid, RepositoryName


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """The requested properties of a new token, before validation.

    Attributes:
        expires_at: None if the token does not expire.
        restriction: the path the token is restricted to; empty for no restriction.
        restriction_exact: whether it is restricted to that path alone, without the paths below.
    """

    name: str
    scopes: Iterable[str]
    expires_at: datetime | None = None
    restriction: str = ""
    restriction_exact: bool = False


@dataclass(frozen=True, slots=True)
class NewAccessToken:
    """The id of a new access token and its secret, which is shown only once."""

    id: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """The validated properties of a new token.

    Attributes:
        scopes: names of scopes, separated by spaces.
        expires_at: None if the token does not expire.
        restriction: the path restriction; None if the token is valid everywhere.
    """

    name: str
    scopes: str
    expires_at: datetime | None
    restriction: PathRestriction | None


#: The message is the same for missing and hidden paths, so that it does not reveal hidden paths.
UNKNOWN_PATH = (
    "There is no namespace, project, or image with this path that the user can see. "
    "An image can be pushed later, but its project must exist."
)


def validate_token_request(
    request: TokenRequest, is_visible: Callable[[str], bool] = lambda _path: True
) -> CheckedToken:
    """Validate the requested properties of a new token and return them in normalized form.

    Args:
        is_visible: returns whether the user can see a path; called for the path restriction.

    Raises:
        Invalid: the name is not valid, the scopes are missing or unknown, the expiry is in
            the past, or the path restriction is not valid or not visible to the user.
    """
    scopes, errors = list(dict.fromkeys(request.scopes)), {}
    name, path = request.name.strip(), request.restriction.strip().strip("/")
    if not 1 <= len(name) <= 100 or not name.isprintable():
        errors["name"] = "Name the token after what uses it, in at most 100 characters."
    unknown_scopes = [scope for scope in scopes if scope not in SCOPES]
    if unknown_scopes or not scopes:
        errors["scopes"] = f"Choose at least one of {', '.join(SCOPES)}."
    if request.expires_at is not None and request.expires_at <= utc_now():
        errors["expires_on"] = "Choose a day to come."
    try:
        restriction = (
            PathRestriction(str(RepositoryName(path)), request.restriction_exact) if path else None
        )
    except NameInvalid as error:
        errors["restriction"] = str(error)
    else:
        if restriction is not None and not is_visible(restriction.path):
            errors["restriction"] = UNKNOWN_PATH
    if errors:
        raise Invalid("The token was not made.", errors)
    return CheckedToken(name, " ".join(scopes), request.expires_at, restriction)


def end_of_day(day: str) -> datetime | None:
    """Return the end of a day such as ``2027-01-31`` in UTC, or None for an empty text.

    Raises:
        Invalid: the text is not a date.
    """
    if not day.strip():
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day.strip()).date(), time.max, UTC)
    except ValueError:
        message = "Write the day as 2027-01-31."
        raise Invalid("The token was not made.", {"expires_on": message}) from None
