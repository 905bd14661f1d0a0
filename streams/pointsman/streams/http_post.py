"""Events, posted to a `pointsman serve`, by the standard library's client."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

PATIENCE_S = 30.0
_ADVICE = {401: "set POINTSMAN_TOKEN, or token in the settings", 429: "it has more than it can take: send less, or try again later"}


class _Unmoved(urllib.request.HTTPRedirectHandler):
    """No redirection is followed: it would take the token to wherever it leads, and the post would become a GET."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere else."""


_OPENER = urllib.request.build_opener(_Unmoved)


class PostError(ValueError):
    """The server was not reached, or took nothing in; the message says where, and what to do."""


def post_events(url: str, lines: Sequence[bytes], token: str | None) -> dict[str, Any]:
    """Post events to `/v1/events`; how many were `accepted` and `rejected`, and the `rejections` with their sentences."""
    target = url.rstrip("/") + "/v1/events"
    if not target.startswith(("http://", "https://")):
        raise PostError(f"{url}: write http://host:port")
    headers = {"content-type": "application/x-ndjson"} | ({"authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(target, data=b"\n".join(lines), headers=headers, method="POST")
    try:
        with _OPENER.open(request, timeout=PATIENCE_S) as answer:
            return _read(target, answer.read())
    except urllib.error.HTTPError as error:
        if error.code == 422:
            return _read(target, error.read())
        raise PostError(f"{target}: {error.code}: {_ADVICE.get(error.code, error.reason)}") from None
    except urllib.error.URLError as error:
        reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
        raise PostError(f"{target}: {reason}; is `pointsman serve` running there?") from None


def _read(target: str, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"accepted", "rejected", "rejections"} <= answer.keys():
        raise PostError(f"{target}: the answer is none of `pointsman serve`: check the address")
    return answer


__all__ = ["PostError", "post_events"]
