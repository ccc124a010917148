"""TLS before a server that speaks none: a self-signed authority with its certificate, and a proxy that ends TLS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.proxy import Address, Proxy

# What a Postgres client sends first to ask for TLS: length 8 and the code 1234,5679.
_POSTGRES_ASKS = bytes([0, 0, 0, 8, 4, 210, 22, 47])


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, which is its own authority; PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str = "own") -> Certificate:
        """Good for a day."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.datetime.now(datetime.UTC)
        issued = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            .sign(key, hashes.SHA256())
        )
        written = cls(folder / f"{name}.pem", folder / f"{name}.key")
        written.certificate.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
        written.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return written


class TlsProxy(Proxy):
    """Speaks TLS to the client and plainly to the server; `postgres` clients ask for TLS in their own protocol."""

    def __init__(self, target: Address, certificate: Certificate, *, postgres: bool) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.certificate, certificate.key)
        self._postgres = postgres
        self.handshakes = 0
        super().__init__(target)

    def welcome(self, client: socket.socket) -> socket.socket:
        """The connection inside TLS; raises OSError for a client that wants none."""
        client.settimeout(10)
        if self._postgres:
            if client.recv(8, socket.MSG_WAITALL) != _POSTGRES_ASKS:
                raise ConnectionError("the client did not ask for TLS")
            client.sendall(b"S")
        inside = self._context.wrap_socket(client, server_side=True)
        inside.settimeout(None)
        self.handshakes += 1
        return inside
