"""A fake of Google on loopback, as firebase_admin uses it: certificates, access tokens, look-up of users.

The library is not patched. Standard variables of its HTTP client send its requests here. One names a proxy for https,
which answers instead of Google. The other names the certificate authority of the fake.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import crypt, jwt

PROJECT = "acme-prod"
KEY_ID = "key-1"
CERTIFICATES = "www.googleapis.com"
USERS = "identitytoolkit.googleapis.com"
ACCESS = "oauth2.googleapis.com"
REGIONS = "iamcredentials.googleapis.com"  # google-auth asks where an account may be used


@dataclass
class Google:
    """The fake's users and faults, and the requests that it got."""

    key: rsa.RSAPrivateKey
    folder: Path
    port: int = 0
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)
    refuses_lookups: bool = False
    asked: list[str] = field(default_factory=list)

    def environ(self) -> dict[str, str]:
        """The variables that send the library's requests to the fake."""
        return {
            "https_proxy": f"http://127.0.0.1:{self.port}",
            "REQUESTS_CA_BUNDLE": str(self.folder / "ca.pem"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "account.json"),
        }

    def user(self, uid: str, **record: Any) -> None:
        self.users[uid] = {"localId": uid, "validSince": "0", **record}

    def answer(self, host: str, path: str, body: bytes) -> tuple[int, Any]:
        self.asked.append(f"{host}{path}")
        if host == CERTIFICATES:
            return 200, {KEY_ID: pem(certificate(self.key))}
        if host == ACCESS:
            return 200, {"access_token": "ours", "expires_in": 3600, "token_type": "Bearer"}
        if host == REGIONS:
            return 200, {"locations": [], "encodedLocations": "0x0"}
        if self.refuses_lookups:
            return 403, {"error": {"code": 403, "message": "INSUFFICIENT_PERMISSION", "status": "PERMISSION_DENIED"}}
        found = [self.users[uid] for uid in json.loads(body)["localId"] if uid in self.users]
        return 200, {"users": found} if found else {}


@contextmanager
def google(folder: Path) -> Iterator[Google]:
    found = Google(rsa_key("google"), folder)
    context = _write_identity(folder, [CERTIFICATES, USERS, ACCESS, REGIONS])
    _write_account(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found, context))
    server.daemon_threads = True
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of an admin's valid token, with changes. None removes a claim."""
    now = int(time.time())
    good = {
        "iss": f"https://securetoken.google.com/{PROJECT}",
        "aud": PROJECT,
        "sub": "ann",
        "auth_time": now - 60,
        "iat": now - 60,
        "exp": now + 3000,
        "email": "ann@example.com",
        "email_verified": True,
        "admin": True,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(payload: dict[str, Any], key: rsa.RSAPrivateKey, key_id: str = KEY_ID) -> str:
    return jwt.encode(crypt.RSASigner.from_string(private_pem(key), key_id), payload).decode()


@cache
def rsa_key(_name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(key: Any) -> x509.Certificate:
    """A self-signed certificate, like those in which Google publishes its keys."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "securetoken.system.gserviceaccount.com")])
    return _certificate(name, name, key.public_key()).sign(key, hashes.SHA256())


def pem(found: x509.Certificate) -> str:
    return found.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate(subject: x509.Name, issuer: x509.Name, public_key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _write_identity(folder: Path, hosts: list[str]) -> ssl.SSLContext:
    """Write a certificate authority and a server's certificate from it for these hosts."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    usage = x509.KeyUsage(*(False,) * 5, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
    root = _certificate(name, name, authority.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    root = root.add_extension(usage, critical=True)
    root = root.add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
    leaf = _certificate(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])]), name, key.public_key())
    leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    leaf = leaf.add_extension(issuer, critical=False)
    (folder / "ca.pem").write_text(pem(root.sign(authority, hashes.SHA256())))
    (folder / "server.pem").write_bytes(private_pem(key) + pem(leaf.sign(authority, hashes.SHA256())).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def _write_account(folder: Path) -> None:
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "client_email": f"monitor@{PROJECT}.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": private_pem(rsa_key("account")).decode(),
        "token_uri": f"https://{ACCESS}/token",
    }
    (folder / "account.json").write_text(json.dumps(account))


def _handler(found: Google, context: ssl.SSLContext) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self):
            """Answer a CONNECT. From here on the connection is TLS, and this server answers as that host."""
            self.host = self.path.partition(":")[0]
            if self.host in found.unreachable:
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            self.connection = self.request = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_GET(self):
            self._answer(b"")

        def do_POST(self):
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body):
            status, content = found.answer(self.host, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def finish(self):
            super().finish()
            self.connection.close()  # the server closes only the socket without TLS

        def log_message(self, *_):
            pass

    return Handler
