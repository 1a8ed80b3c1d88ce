"""A certificate authority in a directory, for users who have none (docs/compatibility.md, "TLS")."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from flom.errors import FlomError
from flom.text import reason

CA_CERTIFICATE: Final = "ca.pem"
CA_KEY: Final = "ca.key"

MAX_UNIQUE_ID: Final = 64
"""Characters of the longest common name (RFC 5280)."""

_WITHOUT_DIGEST: Final = (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)

_SKEW: Final = timedelta(hours=1)  # that the clock of another host may be behind


class CannotIssue(FlomError):
    """The authority cannot be made or used, or the certificate cannot be written."""


class Issued(NamedTuple):
    """A certificate and its key, in PEM files; the owner alone may read that of the key."""

    certificate: Path
    key: Path


def make_authority(directory: Path, days: int) -> Issued:
    """
    Make an authority in C{directory}, which is made too if it is not there.

    @param days: how long it is valid.
    @raise CannotIssue: there is one already, or it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise CannotIssue(f"{directory}: {reason(e)}") from e
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"FLoM certificate authority {token_hex(4)}")  # two of one name would be taken for each other
    certificate = (
        _builder(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(is_authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return _write(directory / CA_CERTIFICATE, certificate, directory / CA_KEY, key)


def issue(directory: Path, unique_id: str, days: int) -> Issued:
    """
    Make a certificate for one host, which it may use as daemon and as client.

    @param directory: of the authority; the files go there too, under the name of the id.
    @param unique_id: of the host, 1 to L{MAX_UNIQUE_ID} letters, digits, dashes, dots and underscores. It becomes the
        common name (docs/compatibility.md, "Peer id check").
    @param days: how long it is valid; not longer than the authority.
    @raise CannotIssue: there is no authority, a certificate for this id is there, or C{unique_id} is none.
    """
    is_name = unique_id.replace("-", "").replace("_", "").replace(".", "").isalnum() and unique_id.isascii()
    if not is_name or len(unique_id) > MAX_UNIQUE_ID or unique_id.startswith("."):
        raise CannotIssue(
            f"unique-id: '{unique_id}' is not 1 to {MAX_UNIQUE_ID} letters, digits, dashes, underscores and dots"
        )
    if f"{unique_id}.pem" == CA_CERTIFICATE:
        raise CannotIssue(f"unique-id: '{unique_id}' is the name of the authority's own files")
    authority, authority_key = _load_authority(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(unique_id), authority.subject, key.public_key(), days, authority.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(_identifier_of(authority), critical=False)  # without, strict clients of the web page refuse it
        .sign(authority_key, None if isinstance(authority_key, _WITHOUT_DIGEST) else SHA256())
    )
    return _write(directory / f"{unique_id}.pem", certificate, directory / f"{unique_id}.key", key)


def _identifier_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int, at_latest: datetime | None = None
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    end = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(end if at_latest is None else min(end, at_latest))
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_authority(directory: Path) -> tuple[x509.Certificate, CertificateIssuerPrivateKeyTypes]:
    path = directory / CA_CERTIFICATE
    try:
        certificate = x509.load_pem_x509_certificate(_read(path))
        path = directory / CA_KEY
        key = load_pem_private_key(_read(path), None)
    except OSError as e:
        raise CannotIssue(f"{path}: {reason(e)}; flomctl certs init makes an authority") from e
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as e:
        raise CannotIssue(f"{path}: it cannot be used: {e}") from e
    if certificate.public_key() != key.public_key():
        raise CannotIssue(f"{path}: it is not the key of {CA_CERTIFICATE}")
    if certificate.not_valid_after_utc < datetime.now(timezone.utc):
        raise CannotIssue(f"{directory / CA_CERTIFICATE}: it has expired")
    return certificate, key  # type: ignore[return-value]  # it has signed its own certificate


def _read(path: Path) -> bytes:
    # if it is a pipe, this does not wait for a writer
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        return file.read()


def _write(
    certificate_path: Path, certificate: x509.Certificate, key_path: Path, key: ec.EllipticCurvePrivateKey
) -> Issued:
    """Write both files, and replace none."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public_pem = certificate.public_bytes(Encoding.PEM)
    written: list[Path] = []
    try:
        for path, data, mode in ((key_path, pem, 0o600), (certificate_path, public_pem, 0o644)):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with open(descriptor, "wb") as file:
                file.write(data)
    except OSError as e:
        for path in written:
            path.unlink()
        raise CannotIssue(f"{e.filename or key_path}: {reason(e)}") from e
    return Issued(certificate_path, key_path)
