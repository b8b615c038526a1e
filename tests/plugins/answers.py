"""Servers on loopback that answer the same to everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """What it answers.

    Attributes:
        status: of HTTP.
        body: as it is sent.
        health: what a question for ``/health`` gets with status 200; None = the same as any other.
        asked: path without its query, and what the question had for ``Authorization``.
    """

    status = 200
    body = b"{}"
    health: bytes | None = None
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.split("?")[0]
        self.asked.append((path, self.headers.get("Authorization")))
        healthy = path == "/health" and self.health is not None
        self.send_response(200 if healthy else self.status)
        self.end_headers()
        self.wfile.write(self.health if healthy and self.health is not None else self.body)

    def do_POST(self) -> None:
        """Answer."""
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def answering(health: bytes | None = None) -> Iterator[tuple[str, type[Answer]]]:
    """Address of a server and what it answers, which may be changed."""
    answer = type("Own", (Answer,), {"asked": [], "health": health})
    with ThreadingHTTPServer(("127.0.0.1", 0), answer) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}", answer
        http.shutdown()


@contextmanager
def greeting() -> Iterator[str]:
    """Address of a server that speaks something else than HTTP, to one visitor."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.recv(1000)

        threading.Thread(target=greet, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
