"""The page that an operator keeps open: its files as they are handed out, with caching and a policy that lets it talk to its own server only."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "cache-control": "no-cache",  # kept, but asked for each time: 304 where nothing changed, so that an update of the server is an update of the page
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page: its path on the server, its media type, its bytes, and the tag by which a browser knows that it has them."""

    path: str
    kind: str
    body: bytes
    etag: str


@cache
def assets() -> dict[str, Asset]:
    """Every file of the page by its path; the page itself is `/`."""
    found = [asset for name, file in _walk(files("pointsman.sinks") / "page") if (asset := _asset(name, file)) is not None]
    return {asset.path: asset for asset in found}


def paths() -> frozenset[str]:
    """The paths that need no token: these files say nothing of the traffic."""
    return frozenset(assets())


def add_page(app: "Starlette") -> None:
    """Hand out the page's files from an application."""
    for path in assets():
        app.add_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)


async def answer(request: "Request") -> "Response":
    """A file of the page, or 304 where the browser has it."""
    from starlette.responses import Response

    asset = assets()[request.url.path]
    headers = HEADERS | {"etag": asset.etag}
    if asset.etag in (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers | {"content-type": asset.kind})


def _walk(folder: Traversable, under: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{under}{entry.name}"
        found += _walk(entry, f"{name}/") if entry.is_dir() else [(name, entry)]
    return found


def _asset(name: str, file: Traversable) -> Asset | None:
    """The asset that a file is; None for what is not handed out (notes, licences)."""
    kind = KINDS.get(f".{name.rpartition('.')[2]}")
    if kind is None:
        return None
    body = file.read_bytes()
    return Asset("/" if name == "index.html" else f"/page/{name}", kind, body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


__all__ = ["HEADERS", "POLICY", "Asset", "add_page", "answer", "assets", "paths"]
