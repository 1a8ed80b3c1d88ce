"""TLS to etcd: the names of the members are checked, and a certificate of our own is shown if there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

from flom.errors import ConfigError
from flom.text import one_line, reason

_T = TypeVar("_T")


class QuorumTls:
    """What it takes to speak TLS with etcd's members."""

    def __init__(self, certificate: str = "", private_key: str = "", ca_certificate: str = "") -> None:
        """
        @param certificate: a PEM file, of this daemon; certificates that follow the first are sent too. Empty for none.
        @param private_key: a PEM file without a passphrase, of C{certificate}.
        @param ca_certificate: a PEM file with the authorities that a member's certificate may come from; empty for
            those that the system trusts.
        @raise ConfigError: one of them cannot be used, or one of the first two is missing.
        """
        if bool(certificate) != bool(private_key):
            missing, given = ("quorum-key", "quorum-cert") if certificate else ("quorum-cert", "quorum-key")
            raise ConfigError(f"{missing}: it is missing beside {given}")
        self._options: dict[str, Any] = {}
        self._trust = (
            trustRootFromCertificates(_use("quorum-ca", ca_certificate, _authorities))
            if ca_certificate
            else platformTrust()
        )
        if certificate:
            own, *chain = _use("quorum-cert", certificate, _certificates)
            key = _use("quorum-key", private_key, _key)
            _use("quorum-key", private_key, lambda _: _check_pair(own, key))
            self._options = {
                "certificate": own,
                "privateKey": key,
                "extraCertChain": chain,
            }

    def creator(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return what makes connections to the member whose name or address is C{host}."""
        return optionsForClientTLS(host, self._trust, extraCertificateOptions=self._options)


def _use(option: str, path: str, load: Callable[[str], _T]) -> _T:
    try:
        return load(path)
    except OSError as e:
        why = reason(e)
    except TypeError:
        why = "it has a passphrase"
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, SSL.Error):
        why = (
            "it is not the key of that certificate"
            if option == "quorum-key"
            else "it has no certificate that can be read"
        )
    raise ConfigError(one_line(f"{option}: '{path}' cannot be used: {why}"))


def _certificates(path: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(Path(path).read_bytes())


def _authorities(path: str) -> list[Certificate]:
    return [Certificate(X509.from_cryptography(each)) for each in _certificates(path)]


def _key(path: str) -> Any:
    return load_pem_private_key(Path(path).read_bytes(), None)


def _check_pair(certificate: x509.Certificate, key: Any) -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.check_privatekey()
