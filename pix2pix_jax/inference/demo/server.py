"""The demo command: a page in the browser that translates painted or uploaded images.

The server needs only the standard library. A library for web pages would add two hundred megabytes,
but lacks brushes with the names of classes, and translations while a stroke is painted.
"""

import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.image_files import encode_png
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.demo.demo import MAX_MEGABYTES, Demo
from pix2pix_jax.inference.options import TranslateOptions
from pix2pix_jax.inference.translator import open_translator
from pix2pix_jax.runs.checks import resolve_run_config
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.compile_notice import CompileNotice
from pix2pix_jax.runtime.console import say

TEXT = "text/plain; charset=utf-8"
UPLOAD = "application/octet-stream"
FILES = {  # the name and the content type of each file of the page, by path
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
MAX_NUMBER = 2**31  # numbers of examples and samples are taken modulo this number
MAX_LENGTH_DIGITS = 15  # a content-length with more digits is refused


def is_local(host: str | None) -> bool:
    """Whether a host name or address can be reached only from this machine."""
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


class DemoServer(ThreadingHTTPServer):
    """Serves a demo; each connection has a thread.

    Attributes:
      demo: makes settings, examples and translations.
      files: content and type of the files of the page, by path.
      only_local: whether only this machine can reach the server.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, handler: type[BaseHTTPRequestHandler], demo: Demo):
        """Reads the files of the page, and opens the port.

        Raises:
          OSError: the port is taken, or `host` is not an address of this machine.
        """
        self.demo = demo
        folder = Path(__file__).parent
        self.files = {
            path: ((folder / name).read_bytes(), kind) for path, (name, kind) in FILES.items()
        }
        self.only_local = is_local(host)
        super().__init__((host, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints the traceback of a bug; ignores OSError: the visitor closed the connection."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class RequestHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection; all images in answers are PNGs.

    GET answers with the files of the page, or with /settings. POST needs an image file as the body:
    /input scales the image, and /translate?number=N translates the image with noise N.
    /example?number=N ignores the body and draws example N.
    """

    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds until a silent connection is closed

    @property
    def demo_server(self) -> DemoServer:
        """The server that this handler belongs to."""
        assert isinstance(self.server, DemoServer)
        return self.server

    def do_GET(self) -> None:
        """Sends a file of the page, or answers a request without a body."""
        # A link to the page may have a query; the query is ignored.
        if file := self.demo_server.files.get(self.path.partition("?")[0]):
            self.send(200, *file)
        else:
            self.answer(b"")

    def do_POST(self) -> None:
        """Answers a request with a body, after checks of its type and length."""
        # Forms on other sites cannot send this content type, and browsers stop scripts that try.
        if self.headers.get("content-type") != UPLOAD:
            self.refuse_body(415, f"content-type: is not {UPLOAD}; send {UPLOAD}")
            return
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or len(length) > MAX_LENGTH_DIGITS:
            reason = f"send the number of bytes, at most {MAX_MEGABYTES} MB"
            self.refuse_body(411, f"content-length: is missing or wrong; {reason}")
        elif int(length) > MAX_MEGABYTES << 20:
            self.refuse_body(413, f"the image is too large; send at most {MAX_MEGABYTES} MB")
        else:
            self.answer(self.rfile.read(int(length)))

    def answer(self, body: bytes) -> None:
        """Sends the content of the path, or an error in one line.

        Status 400 is an error of the visitor. Status 404 is an unknown path, or a request that is
        not trusted. Status 500 is a bug, and its traceback is printed.
        """
        try:
            content = self.make_content(body) if self.is_trusted() else None
        except UsageError as error:
            self.send(400, str(error).encode(), TEXT)
        except Exception:  # A bug: its traceback belongs in the terminal of the server.
            traceback.print_exc()
            self.send(500, b"the demo failed; look at the error in its terminal", TEXT)
        else:
            if content is None:
                self.send(404, b"no such page", TEXT)
            else:
                self.send(200, *content)

    def is_trusted(self) -> bool:
        """Whether a request may be answered.

        A server that only this machine can reach answers only requests for a local host name. Any
        other name belongs to a site that redirects its name to this machine (DNS rebinding).
        """
        try:
            name = urlsplit(f"//{self.headers.get('host', '')}").hostname
        except ValueError:  # The header is not a host name.
            name = None
        return is_local(name) or not self.demo_server.only_local

    def make_content(self, body: bytes) -> tuple[bytes, str] | None:
        """Makes the content of an answer, with its content type; None for an unknown path.

        Raises:
          UsageError: `number` is not a number, or the body cannot be read as an image.
        """
        demo = self.demo_server.demo
        path, _, query = self.path.partition("?")
        if path == "/settings":
            return demo.settings_json(), "application/json"
        if path == "/input":
            image = demo.decode_upload(body)
        elif path == "/example" and demo.settings.has_examples:
            image = demo.draw_example(parse_number(query))
        elif path == "/translate":
            image = demo.translate(body, parse_number(query))
        else:
            return None
        return encode_png(image), "image/png"

    def refuse_body(self, status: int, reason: str) -> None:
        """Sends an error and closes the connection, because the body was not read."""
        self.close_connection = True
        self.send(status, reason.encode(), TEXT)

    def send(self, status: int, content: bytes, kind: str) -> None:
        """Sends an answer; `kind` is its content type."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing, because a page makes many requests."""


def parse_number(query: str) -> int:
    """The number N of the query "number=N", modulo MAX_NUMBER; 0 if the query has no number.

    Raises:
      UsageError: N is not a whole number.
    """
    text = parse_qs(query).get("number", ["0"])[0]
    try:
        return int(text) % MAX_NUMBER
    except ValueError as error:
        raise UsageError(
            f"number: {text!r} is not a whole number", "give a number as in number=7"
        ) from error


def serve_demo(
    config: Config,
    workdir: Workdir,
    step: CheckpointStep,
    host: str,
    port: int,
) -> None:
    """Serves the page until the process is stopped.

    Args:
      host: the address to listen at; if it is not local, other machines can use the page, too.
      port: the port to listen at; 0: any free port.

    Raises:
      UsageError: the run or the checkpoint does not exist, the inputs or outputs of the run do not
        have 1, 3 or 4 channels, the port is taken, or `host` is not an address of this machine.
    """
    config = resolve_run_config(workdir, config)
    translator = open_translator(config, workdir, TranslateOptions(step))
    demo = Demo(config, workdir, translator)
    try:
        server = DemoServer(host, port, RequestHandler, demo)
    except OSError as error:
        raise UsageError(
            f"--host, --port: cannot listen at {host}:{port} ({error.strerror})",
            "give another host or port, such as --port=0 for any free port",
        ) from error
    with server:
        with CompileNotice("the generator"):
            demo.compile()
        address = f"http://{host}:{server.server_port}/"
        say(f"{workdir}: serving step {translator.step} at {address} (press Ctrl-C to stop)")
        server.serve_forever()
