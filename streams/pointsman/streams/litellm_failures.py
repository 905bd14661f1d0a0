"""LiteLLM's exceptions as Pointsman's failure classes: by name and status, never by message."""

import asyncio

from pointsman.schemas.inputs import FailureClass

DISCONNECTED = "499"


class Abandoned(Exception):
    """Whoever called has let go of a stream before its end."""


_BY_NAME: dict[str, FailureClass] = {
    "Abandoned": "cancelled",
    "CancelledError": "cancelled",
    "ClientDisconnected": "cancelled",
    "Timeout": "timeout",
    "APITimeoutError": "timeout",
    "TimeoutError": "timeout",
    "TimeoutException": "timeout",
    "BudgetExceededError": "client",
    "RejectedRequestError": "client",
    "BlockedPiiEntityError": "client",
    "ContextWindowExceededError": "client",
    "ContentPolicyViolationError": "client",
    "UnsupportedParamsError": "client",
    "ImageFetchError": "client",
    "APIConnectionError": "provider",
    "APIResponseValidationError": "provider",
}
# As LiteLLM's own cooldown has it: another deployment, with another key, model name or quota, could have answered.
_OF_THE_DEPLOYMENT = frozenset({401, 402, 403, 404, 429})


def failure(error: BaseException) -> tuple[FailureClass, str]:
    """The class of a failure, and its type for people: the exception's name and status.

    >>> failure(TimeoutError())
    ('timeout', 'TimeoutError')
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    code = getattr(error, "status_code", None)
    status = code if isinstance(code, int) and not isinstance(code, bool) else None
    kind = names[0] if status is None else f"{names[0]} {status}"
    if isinstance(error, asyncio.CancelledError) or status == int(DISCONNECTED):
        return "cancelled", kind[:256]
    category = getattr(error, "category", None)
    if isinstance(category, str) and category.startswith("litellm_"):  # a limit of the proxy's, not of the provider
        return "client", kind[:256]
    for name in names:
        if name in _BY_NAME:
            return _BY_NAME[name], kind[:256]
    return by_status(status), kind[:256]


def by_status(status: int | None) -> FailureClass:
    """The class of an HTTP status.

    >>> [by_status(status) for status in (400, 401, 408, 413, 429, 499, 500, 503, None)]
    ['client', 'provider', 'timeout', 'client', 'provider', 'cancelled', 'provider', 'provider', 'unknown']
    """
    if status is None:
        return "unknown"
    if status in (408, 504):
        return "timeout"
    if status == int(DISCONNECTED):
        return "cancelled"
    if status in _OF_THE_DEPLOYMENT or status >= 500:
        return "provider"
    return "client" if status >= 400 else "unknown"


__all__ = ["DISCONNECTED", "Abandoned", "by_status", "failure"]
