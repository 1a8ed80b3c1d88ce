"""Certificates of all kinds, good and bad, made while the tests run."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from textwrap import wrap
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from flom.net.machine_id import unique_id
from flom.tls.context import Tls

VALID: Final = (-1, 1)
EXPIRED: Final = (-2, -1)
NOT_YET_VALID: Final = (1, 2)

MALFORMED: Final = {  # what stands in a certificate for "Texts", and what does to make it one that cannot be read
    "no text": (b"\x0c\x05Texts", b"\x16\x05T\xff\xffts"),
    "no time": (b"Z\x17\x0d", b"X\x17\x0d"),
    "an unknown version": (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"),
}

Days = tuple[int, int]
"""From when to when something is valid, counted from now."""

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Files:
    """
    What it takes to speak TLS, in PEM files.

    @ivar authority: from whom a peer's certificate has to come.
    """

    certificate: str
    key: str
    authority: str

    def tls(self, *, checks_peer_id: bool = False) -> Tls:
        return Tls(self.certificate, self.key, self.authority, checks_peer_id=checks_peer_id)

    def options(self, *more: str) -> list[str]:
        """Return them as options of C{flom-run} and C{twistd flom}, before C{more}."""
        words = ["--tls-certificate", self.certificate, "--tls-private-key", self.key]
        return [*words, "--tls-ca-certificate", self.authority, *more]


class Authority:
    """
    A certificate authority.

    @ivar path: the file with its certificate.
    @ivar chain: the certificates that lead from those it issues to an authority of its own right, in PEM.
    """

    def __init__(self, directory: Path, name: str, *, issuer: Authority | None = None) -> None:
        """
        @param directory: for its files; it is made.
        @param name: its common name.
        @param issuer: the authority that it depends on; C{None} for one of its own right.
        """
        directory.mkdir()
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        pem = (issuer or self)._sign([name], self._key, VALID, is_authority=True)
        self.chain: bytes = pem + issuer.chain if issuer else b""
        self.path = self._write("ca.pem", pem)

    def issue(
        self,
        file_name: str,
        names: Sequence[str] | None = None,
        *,
        days: Days = VALID,
        key: Key | None = None,
        passphrase: bytes | None = None,
        usage: x509.ObjectIdentifier | None = None,
        sends_chain: bool = True,
        trusts: Authority | None = None,
        hosts: Sequence[str] = (),
    ) -> Files:
        """
        Make a certificate and its key.

        @param file_name: of both, without what follows the dot.
        @param names: common names; by default, the unique id of this host.
        @param usage: all that the certificate may be used for; C{None} if there is no such limit.
        @param sends_chain: whether L{chain} follows in the file.
        @param trusts: from whom a peer's certificate has to come; by default, from us.
        @param hosts: addresses that it is good for, as strict clients check them.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        pem = self._sign(
            [unique_id()] if names is None else names, key, days, is_authority=False, usage=usage, hosts=hosts
        )
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            encryption = BestAvailableEncryption(passphrase)
        return Files(
            self._write(f"{file_name}.pem", pem + (self.chain if sends_chain else b"")),
            self._write(f"{file_name}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)),
            (trusts or self).path,
        )

    def _sign(
        self,
        names: Sequence[str],
        key: Key,
        days: Days,
        *,
        is_authority: bool,
        usage: x509.ObjectIdentifier | None = None,
        hosts: Sequence[str] = (),
    ) -> bytes:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(names))
            .issuer_name(_subject([self._name]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            addresses = [x509.IPAddress(ip_address(host)) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def _write(self, name: str, pem: bytes) -> str:
        path = self._directory / name
        path.write_bytes(pem)
        return str(path)


def replace_in_certificate(path: str, old: bytes, new: bytes) -> None:
    """Change what a file's certificate says, without signing it anew."""
    begin, *lines, end = Path(path).read_text().splitlines()
    der = b64decode("".join(lines))
    assert old in der
    assert len(old) == len(new)
    Path(path).write_text("\n".join([begin, *wrap(b64encode(der.replace(old, new)).decode(), 64), end, ""]))


def _subject(names: Sequence[str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
