"""What access tokens and deploy tokens have in common: a name, scopes, an end, a reach."""

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
    """What somebody wants a new token to be; not checked yet.

    ``reach`` is a path, ``reach_exact`` whether it holds for that path alone.
    """

    name: str
    scopes: Iterable[str]
    expires_at: datetime | None = None
    reach: str = ""
    reach_exact: bool = False


@dataclass(frozen=True, slots=True)
class NewAccessToken:
    """An access token with its secret, which is shown once."""

    id: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckedToken:
    """A token that can be made. ``scopes`` are separated by spaces, as they are stored."""

    name: str
    scopes: str
    expires_at: datetime | None
    reach: PathRestriction | None


#: The same for what does not exist and for what is hidden.
UNKNOWN_REACH = (
    "There is no namespace, project, or image with this path that the user can see. "
    "An image can be pushed later, but its project must exist."
)


def validate_token_request(
    request: TokenRequest, is_visible: Callable[[str], bool] = lambda _path: True
) -> CheckedToken:
    """Return what can be stored.

    Args:
        is_visible: looks up whether the user can see a path that the token is limited to.

    Raises:
        Invalid: no name, no or unknown scopes, an expiry that has passed, or a reach that
            is no path, or not a visible one.
    """
    chosen, errors = list(dict.fromkeys(request.scopes)), {}
    name, path = request.name.strip(), request.reach.strip().strip("/")
    if not 1 <= len(name) <= 100 or not name.isprintable():
        errors["name"] = "Name the token after what uses it, in at most 100 characters."
    unknown = [scope for scope in chosen if scope not in SCOPES]
    if unknown or not chosen:
        errors["scopes"] = f"Choose at least one of {', '.join(SCOPES)}."
    if request.expires_at is not None and request.expires_at <= utc_now():
        errors["expires_on"] = "Choose a day to come."
    try:
        reach = PathRestriction(str(RepositoryName(path)), request.reach_exact) if path else None
    except NameInvalid as error:
        errors["reach"] = str(error)
    else:
        if reach is not None and not is_visible(reach.path):
            errors["reach"] = UNKNOWN_REACH
    if errors:
        raise Invalid("The token was not made.", errors)
    return CheckedToken(name, " ".join(chosen), request.expires_at, reach)


def end_of_day(day: str) -> datetime | None:
    """Return the end of a day (``2027-01-31``) in UTC; None for none.

    Raises:
        Invalid: it is no day.
    """
    if not day.strip():
        return None
    try:
        return datetime.combine(datetime.fromisoformat(day.strip()).date(), time.max, UTC)
    except ValueError:
        message = "Write the day as 2027-01-31."
        raise Invalid("The token was not made.", {"expires_on": message}) from None
