"""Events posted to a server by the standard library's client."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pointsman.streams.http_post import PostError, post_events


class Moved(BaseHTTPRequestHandler):
    """Sends every post to where the token must not go."""

    def do_POST(self) -> None:
        """Elsewhere."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(302)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def test_a_redirection_is_an_error_and_is_not_followed() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Moved) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(PostError, match="302"):
            post_events(f"http://127.0.0.1:{server.server_port}", [b"{}"], "token")
        server.shutdown()
