"""Real servers on loopback for the tests of the sources: HTTP, TLS and SFTP. Each serves what a test tells it to."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import paramiko
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Request:
    """What a client asked for."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Reply:
    """What it gets. `script` writes to the socket by itself instead, headers included."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    script: Callable[[BaseHTTPRequestHandler], None] | None = None


Answering = Callable[[Request], Reply]


@dataclass
class Site:
    """An HTTP server: `answer` decides, `requests` remembers."""

    url: str
    answer: Answering
    requests: list[Request] = field(default_factory=list)
    ending: threading.Event = field(default_factory=threading.Event)

    def drip(self, handler: BaseHTTPRequestHandler, piece: bytes, times: int = 200) -> None:
        """Write a piece every 50 ms, for ten seconds at most, or until the client or the test has gone."""
        try:
            for _ in range(times):
                handler.wfile.write(piece)
                handler.wfile.flush()
                if self.ending.wait(0.05):
                    return
        except OSError:
            return


@contextmanager
def site(answer: Answering | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            request = Request(parts.path, dict(parse_qsl(parts.query)), dict(self.headers))
            here.requests.append(request)
            reply = here.answer(request)
            if reply.script:
                self.close_connection = True
                reply.script(self)
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            # Fewer bytes than promised: the connection ends here, as one that broke.
            self.close_connection = "Content-Length" in reply.headers

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is what many of these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    here = Site(f"{scheme}://127.0.0.1:{server.server_port}", answer or (lambda _: Reply(b"x")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        here.ending.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path


class Account(paramiko.ServerInterface):
    """One user, with a password or a key."""

    def __init__(self, user: str, password: str, key: paramiko.PKey) -> None:
        self.user, self.password, self.key = user, password, key

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == (self.user, self.password)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, key) == (self.user, self.key) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class Disk(paramiko.SFTPServerInterface):
    """A folder as the root of an SFTP server."""

    def __init__(self, server: Account, root: Path, site: SftpSite) -> None:
        super().__init__(server)
        self.root, self.site = root, site

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        folder = self.root / path.lstrip("/")
        if not folder.is_dir():
            return paramiko.SFTP_NO_SUCH_FILE
        found = [paramiko.SFTPAttributes.from_stat(entry.lstat(), entry.name) for entry in folder.iterdir()]
        own = Path(__file__).stat()
        return found + [paramiko.SFTPAttributes.from_stat(own, name) for name in self.site.planted]

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        return paramiko.SFTPAttributes.from_stat(os.stat(self.root / path.lstrip("/")))

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        self.site.when_opened(self.root / path.lstrip("/"))
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = open(self.root / path.lstrip("/"), "rb")  # noqa: SIM115  (paramiko closes it)
        return handle


@dataclass
class SftpSite:
    """A running SFTP server: where, who may enter, and a known_hosts file that knows it.

    It lists the `planted` names besides its files, whatever they are, and does `when_opened` before it sends a file.
    """

    port: int
    user: str
    password: str
    private_key: str
    known_hosts: Path
    planted: list[str] = field(default_factory=list)
    when_opened: Callable[[Path], object] = lambda path: None


@contextmanager
def sftp_site(root: Path, folder: Path) -> Iterator[SftpSite]:
    """An SFTP server for `root`; `folder` takes its known_hosts file."""
    host_key, client_key = paramiko.ECDSAKey.generate(), ec.generate_private_key(ec.SECP256R1())
    pem = client_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()
    (folder / "client.key").write_text(pem, encoding="utf-8")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n", encoding="utf-8")
    here = SftpSite(port, "supplier", "sftp-s3cret-word", pem, known_hosts)
    account = Account(here.user, here.password, paramiko.PKey.from_path(folder / "client.key"))
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(host_key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Disk, root, here)
            transports.append(transport)
            try:
                transport.start_server(server=account)
            except (paramiko.SSHException, EOFError):
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield here
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
