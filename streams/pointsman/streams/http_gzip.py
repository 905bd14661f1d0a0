"""Compressed bodies: taken apart piece by piece, so that a small body cannot become more than the server takes."""

import zlib

from .http_guard import Problem

_WINDOWS = {"gzip": 31, "deflate": 15}  # zlib's window bits: with a gzip header, with a zlib header


def expanded(body: bytes, encoding: str, most: int) -> bytes:
    """A body as it was before its `Content-Encoding`, at most `most` bytes of it. Raises `Problem` 415, 413 or 400."""
    named = encoding.strip().lower()
    if named in ("", "identity"):
        return body
    if named not in _WINDOWS:
        raise Problem(415, "unknown_encoding", f"content-encoding {named[:100]!r}: send gzip, deflate, or none")
    machine = zlib.decompressobj(_WINDOWS[named])
    try:
        found = machine.decompress(body, most + 1)
    except zlib.error:
        raise Problem(400, "malformed_body", f"the body is not {named}, which its content-encoding says") from None
    if len(found) > most:
        raise Problem(413, "too_large", f"a body has at most {most} bytes when it is expanded: send smaller batches")
    if not machine.eof:
        raise Problem(400, "malformed_body", f"the {named} body ends too early")
    return found


__all__ = ["expanded"]
