"""C{flomctl certs}: certificates for TLS."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from flom.net.machine_id import unique_id
from flom.tls import authority as certs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def make_authority(arguments: Namespace) -> int:
    """Make a certificate authority, and print what to do with it."""
    directory = Path(arguments.directory)
    authority = certs.make_authority(directory, arguments.days)
    _print_lines(
        f"authority: {authority.certificate}, {authority.key} (keep the key to yourself)",
        f"next, for each host: flomctl certs issue {quote(str(directory))} --unique-id ID",
        "where ID is what flom --unique-id says there",
    )
    return 0


def issue_certificate(arguments: Namespace) -> int:
    """Make a certificate for a host, and print the options that use it."""
    directory = Path(arguments.directory)
    name = unique_id() if arguments.unique_id is None else arguments.unique_id
    issued = certs.issue(directory, name, arguments.days)
    _print_lines(
        f"--tls-certificate {quote(str(issued.certificate))}",
        f"--tls-private-key {quote(str(issued.key))}",
        f"--tls-ca-certificate {quote(str(directory / certs.CA_CERTIFICATE))}",
    )
    return 0


def _print_lines(*lines: str) -> None:
    print("\n".join(lines), flush=True)
