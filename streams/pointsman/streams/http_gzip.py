"""Compressed request bodies: gzip and deflate, unpacked no further than a body may be long."""

import zlib

from starlette.requests import Request

from .http_guard import Problem, read_body

PACKED = frozenset({"gzip", "x-gzip", "deflate"})
PLAIN = frozenset({"", "identity"})
MOST_MEMBERS = 100  # each one costs a copy of what follows it
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


async def read_unpacked(request: Request, most: int, within_s: float) -> bytes:
    """The body of a request as it was before it was compressed, at most so long in either form.

    Raises `Problem`: 413 for a longer one, 408 for one that does not come in time, 400 for one that cannot be unpacked, 415 for another encoding.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    body = await read_body(request.scope, request.receive, most, within_s)
    return unpacked(body, encoding, most)


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """What these bytes were before they were encoded so; never more than `most` bytes are made of them. Raises `Problem` 400, 413 or 415.

    >>> import gzip
    >>> unpacked(gzip.compress(b"one") + gzip.compress(b" two"), "gzip", 100)
    b'one two'
    """
    if encoding in PLAIN:
        return body
    if encoding not in PACKED:
        raise Problem(
            415, "unknown_encoding", f"content-encoding {encoding[:100]!r}: send one of gzip, deflate, identity", {"accept-encoding": "gzip, deflate"}
        )
    pieces, room, rest = [], most, body
    for _ in range(MOST_MEMBERS):
        piece, rest = _member(rest, room, encoding)
        pieces.append(piece)
        room -= len(piece)
        if room < 0:
            raise Problem(413, "too_large", f"a body has at most {most} bytes, unpacked: send smaller batches")
        if not rest:
            return b"".join(pieces)
    raise Problem(400, "malformed_encoding", f"content-encoding {encoding}: the body has more than {MOST_MEMBERS} members")


def _member(body: bytes, room: int, encoding: str) -> tuple[bytes, bytes]:
    """The first member, cut one byte beyond the room, and the bytes behind it."""
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        piece = inflater.decompress(body, room + 1)
    except zlib.error:
        raise Problem(400, "malformed_encoding", f"content-encoding {encoding}: the body is not that, or is damaged") from None
    if not inflater.eof and len(piece) <= room:
        raise Problem(400, "malformed_encoding", f"content-encoding {encoding}: the body ends too early")
    return piece, inflater.unused_data


__all__ = ["read_unpacked", "unpacked"]
