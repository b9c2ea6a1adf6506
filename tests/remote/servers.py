"""Servers of files in this process, of which tests can see what is sent, and make them fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class S3Server:
    """An S3-compatible server: moto's."""

    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.sent = 0
        """Bytes that were sent."""
        self.fail: Callable[[str, str], str | None] = lambda method, path: None
        """Gives the status to fail with for a method and a path."""
        self.after: Callable[[str, str], None] = lambda method, path: None
        """Is called before a request is answered."""

    def _answer(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.after(method, path)
        if status := self.fail(method, path):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(status, [("Content-Length", "0")])
            return [b""]
        blocks = list(self._application(environ, start_response))
        self.sent += sum(map(len, blocks)) if method == "GET" else 0
        return blocks

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self._answer(with_body=True)

    def do_HEAD(self):  # noqa: N802
        self._answer(with_body=False)

    def _answer(self, with_body):
        web = self.server.web
        web.requests.append((self.command, self.path, self.headers.get("Range")))
        content = web.files.get(self.path.partition("?")[0])
        status = web.statuses.pop(0) if web.statuses else 200 if content is not None else 404
        part, headers = content or b"", {}
        if status == 200 and web.ranges and (wanted := self.headers.get("Range")):
            first, last = map(int, wanted.removeprefix("bytes=").split("-"))
            headers["Content-Range"] = f"bytes {first}-{last}/{len(part)}"
            status, part = 206, part[first : last + 1]
        self.send_response(status)
        if status < 300 and web.etag:
            headers["ETag"] = f'"{hash(content)}"'
        if web.states_size or status >= 300:
            headers["Content-Length"] = str(len(part) if status < 300 else 0)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body and status < 300:
            is_lost = web.lost.pop(0) if web.lost else False
            self.wfile.write(part[: len(part) // 2] if is_lost else part)

    def log_message(self, *_):
        pass


class WebServer:
    """A web server of files in memory."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.statuses: list[int] = []
        """Statuses to answer the next requests with."""
        self.requests: list[tuple[str, str, str | None]] = []
        self.ranges, self.states_size, self.etag = True, True, True
        self.lost: list[bool] = []
        """Whether the connection is lost in the middle of the next files or parts."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.web = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def closing(server):
    try:
        yield server
    finally:
        server.close()
