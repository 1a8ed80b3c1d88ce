"""C{flomctl certs}: certificates for TLS."""

from __future__ import annotations

from argparse import Namespace
from shlex import quote

from flom.net.machine_id import unique_id
from flom.tls import authority as certs


def make_authority(arguments: Namespace) -> int:
    """Make a certificate authority, and print what to do with it."""
    authority = certs.make_authority(arguments.directory, arguments.days)
    _print_lines(
        f"authority: {authority.certificate}, {authority.key} (keep the key to yourself)",
        f"next, for each host: flomctl certs issue {quote(str(arguments.directory))} --unique-id ID",
        "where ID is what flom --unique-id says there",
    )
    return 0


def issue_certificate(arguments: Namespace) -> int:
    """Make a certificate for a host, and print the options that use it."""
    name = unique_id() if arguments.unique_id is None else arguments.unique_id
    issued = certs.issue(arguments.directory, name, arguments.days)
    _print_lines(
        f"--tls-certificate {quote(str(issued.certificate))}",
        f"--tls-private-key {quote(str(issued.key))}",
        f"--tls-ca-certificate {quote(str(arguments.directory / certs.CA_CERTIFICATE))}",
    )
    return 0


def _print_lines(*lines: str) -> None:
    print("\n".join(lines), flush=True)
