"""
What goes wrong with TLS, in words: for Twisted's connections and for those of the standard library's C{ssl}
(docs/compatibility.md, "TLS failures", "Peer id check").

The cryptography package is imported by the functions that look into a certificate, all of which serve an error or the
trace. C{flom-run} need not have it: its errors are shorter then.
"""

from __future__ import annotations

from flom.codes import ReturnCode
from flom.errors import TlsError
from flom.text import missing_extra, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from cryptography import x509

VERIFY_DEPTH: Final = 4
"""Certificates that may lie between a peer's and that of our authority (docs/compatibility.md, "TLS parameters")."""

CHAIN_TOO_LONG: Final = 22  # OpenSSL's X509_V_ERR_CERT_CHAIN_TOO_LONG
_MAX_NAMES: Final = 300  # characters of names that the peer has chosen, and that end up in our log
_PROBLEMS: Final = {  # the numbers are OpenSSL's, X509_V_ERR_...
    **dict.fromkeys((2, 7, 18, 19, 20, 21), "does not come from the authority in tls-ca-certificate"),
    9: "is not valid yet",
    10: "has expired",
    CHAIN_TOO_LONG: f"is more than {VERIFY_DEPTH} certificates away from the authority in tls-ca-certificate",
    24: "is of no authority",
    26: "is not made for this purpose",
}

NOT_THERE: Final = "there is no such thing in it, in PEM form, or none of a known kind"
_COMPLAINTS: Final = (  # parts of OpenSSL's texts, most of which tell of an alert that the other end has sent
    (("alert unknown ca", "alert decrypt error"), "it does not trust the authority that our certificate comes from"),
    (("alert certificate expired",), "it says that our certificate has expired"),
    (("alert bad certificate", "alert certificate unknown"), "it does not accept our certificate"),
    (("alert unsupported certificate",), "it says that our certificate is not made for this purpose"),
    (("certificate required",), "it wants a certificate, and we have sent none"),
    (("peer did not return a certificate",), "it has no certificate"),
    (("alert protocol version", "unsupported protocol"), "it wants another version of TLS than 1.2 or 1.3"),
    (("wrong version number", "http request", "packet length too long"), "it does not speak TLS"),
    (("record layer failure", "unexpected message"), "it does not speak TLS"),
    (("no start line", "no certificate or crl found"), NOT_THERE),
    (("key values mismatch", "key type mismatch", "no certificate assigned"), "it is not the key of the certificate"),
)


def describe_complaints(complaints: Sequence[str]) -> str:
    """Return in our words what OpenSSL complains of, in C{complaints}, or its own words if we have none."""
    for complaint in complaints:
        for parts, words in _COMPLAINTS:
            if any(part in complaint for part in parts):
                return words
    return ", ".join(complaints)


def connection_failed(complaints: Sequence[str], *, is_secured: bool) -> TlsError:
    """Return the error for a connection that OpenSSL ended, after the handshake if it C{is_secured}."""
    code = ReturnCode.SSL_READ_ERROR if is_secured else ReturnCode.SSL_CONNECT_ERROR
    return TlsError(code, f"TLS failed: {describe_complaints(complaints)}")


def certificate_problem(code: int, depth: int, certificate: bytes | None) -> str:
    """
    Return what is wrong with one certificate of the other end.

    @param code: of OpenSSL, X509_V_ERR_...
    @param depth: 0 for the other end's own certificate, more for one above it.
    @param certificate: in DER; C{None} if it is not known.
    """
    whose = "its certificate" if depth == 0 else "a certificate that its own depends on"
    named = "" if certificate is None else f" ({describe_certificate(certificate)})"
    return f"{whose}{named} {_PROBLEMS.get(code, f'has X.509 problem {code}')}"


def peer_id_problem(peer_id: str | None, common_name: str | None) -> TlsError:
    """Return the error for a peer whose unique id is not the common name of its certificate."""
    said = "it has sent no unique id" if peer_id is None else f"its unique id is '{peer_id}'"
    why = one_line(f"{said}, and its certificate {describe_name(common_name)}")[:_MAX_NAMES]
    return TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, why)


def describe_name(common_name: str | None) -> str:
    """Return which common name a certificate has, for a line that begins with whose it is."""
    return "has no common name" if common_name is None else f"has the common name '{common_name}'"


def describe_certificate(certificate: bytes) -> str:
    """Return subject and issuer of a certificate in DER, where a peer can write anything; bounded."""
    try:
        from cryptography import x509
    except ImportError as e:
        return f"to read it {missing_extra(e)}"

    try:
        parsed = x509.load_der_x509_certificate(certificate)
        text = f"{parsed.subject.rfc4514_string()}, issued by {parsed.issuer.rfc4514_string()}"
    except unreadable():
        return "malformed"
    return one_line(text)[:_MAX_NAMES]


def peer_common_name(certificate: bytes) -> str | None:
    """Return the L{common_name} of a certificate in DER; L{TlsError} is raised if it cannot be read."""
    from cryptography import x509

    try:
        return common_name(x509.load_der_x509_certificate(certificate))
    except unreadable() as e:
        raise TlsError(ReturnCode.UNIQUE_ID_DOES_NOT_MATCH, f"its certificate cannot be read: {e}") from e


def common_name(certificate: x509.Certificate) -> str | None:
    """Return the last common name of the subject, if any, as FLoM does (docs/compatibility.md, "Peer id check")."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else None


def unreadable() -> tuple[type[Exception], ...]:
    """Return what the cryptography package raises for what is no certificate or key, or of no kind that it knows."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return ValueError, x509.InvalidVersion, UnsupportedAlgorithm


def blame(code: int, chain: Sequence[bytes], authorities: str) -> str:
    """
    Return which certificate of the other end is bad, and how, in the words of L{certificate_problem}.

    OpenSSL's verdict comes from C{ssl}, which does not say whose certificate it is about: that is found by verifying
    once more.

    @param code: of OpenSSL, X509_V_ERR_...
    @param chain: what the other end has sent, in DER, its own certificate first.
    @param authorities: the file in tls-ca-certificate.
    """
    if not chain:
        return certificate_problem(code, 0, None)

    try:
        from OpenSSL import crypto
    except ImportError:
        return certificate_problem(code, 0, chain[0])

    try:
        store = crypto.X509Store()
        store.load_locations(authorities)
        certificates: list[Any] = [crypto.load_certificate(crypto.FILETYPE_ASN1, each) for each in chain]
        crypto.X509StoreContext(store, certificates[0], certificates[1:]).verify_certificate()
    except crypto.X509StoreContextError as e:
        verdict, depth, *_ = e.errors
        if _PROBLEMS.get(verdict) == _PROBLEMS.get(code):
            return certificate_problem(code, depth, crypto.dump_certificate(crypto.FILETYPE_ASN1, e.certificate))
    except crypto.Error:
        pass  # OpenSSL's two libraries, that of Python and that of pyOpenSSL, do not agree on it
    return certificate_problem(code, 0, chain[0])
