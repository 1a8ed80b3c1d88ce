"""
The files for TLS become what pyOpenSSL needs, or the line that says which of them cannot be used, and why
(docs/compatibility.md, "TLS parameters").
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.text import reason
from flom.tls.verdicts import NOT_THERE, VERIFY_DEPTH, common_name, describe_complaints, unreadable


def make_context(certificate: str, private_key: str, ca_certificate: str) -> SSL.Context:
    """
    Make the context of TLS 1.2 and 1.3 connections; the caller's C{set_verify} decides which peers it trusts.

    @param certificate: a PEM file; certificates that follow the first are sent too.
    @param private_key: a PEM file without a passphrase.
    @param ca_certificate: a PEM file with the authorities that a peer's certificate may come from.
    @raise TlsError: one of them cannot be used.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)

    def use_key(path: str) -> None:
        key: Any = load_pem_private_key(Path(path).read_bytes(), None)
        context.use_privatekey(key)
        context.check_privatekey()

    use_certificate, use_ca = context.use_certificate_chain_file, context.load_verify_locations
    for option, path, use, code in (
        ("tls-certificate", certificate, use_certificate, ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR),
        ("tls-certificate", certificate, own_common_name, ReturnCode.SSL_CTX_USE_CERTIFICATE_FILE_ERROR),
        ("tls-private-key", private_key, use_key, ReturnCode.SSL_CTX_USE_PRIVATEKEY_FILE_ERROR),
        ("tls-ca-certificate", ca_certificate, use_ca, ReturnCode.SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR),
    ):
        _use(option, path, use, code)
    context.set_verify_depth(VERIFY_DEPTH)
    return context


def own_common_name(path: str) -> str | None:
    """Return the common name of the first certificate in the PEM file C{path}; see L{common_name}."""
    return common_name(x509.load_pem_x509_certificate(Path(path).read_bytes()))


def complaints_of(error: SSL.Error) -> list[str]:
    """Return OpenSSL's texts."""
    return [complaint for *_, complaint in (error.args[0] if error.args else ())]


def _use(option: str, path: str, use: Callable[[str], object], code: ReturnCode) -> None:
    try:
        open(path, "rb").close()  # OpenSSL would not say why it cannot
        use(path)
    except OSError as e:
        why = reason(e)
    except SSL.Error as e:
        why = describe_complaints(complaints_of(e))
    except TypeError as e:
        why = "it has a passphrase" if "encrypted" in str(e) else NOT_THERE
    except unreadable():
        why = NOT_THERE
    else:
        return
    raise TlsError(code, f"{option}: '{path}' cannot be used: {why}")
