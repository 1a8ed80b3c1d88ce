"""How values are written for people."""

from __future__ import annotations

import errno

import pytest

from flom.text import host_port, missing_extra, one_line, reason, truncate


@pytest.mark.parametrize(
    ("host", "written"),
    [("127.0.0.1", "127.0.0.1:28015"), ("::1", "[::1]:28015"), ("lockhost", "lockhost:28015")],
)
def test_an_address_has_an_ipv6_host_in_brackets(host: str, written: str) -> None:
    assert host_port(host, 28015) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [("böse Wörter", "böse Wörter"), ("two\nlines", r"two\nlines"), ("\x1b[2J", r"\x1b[2J"), ("\udcff", r"\udcff")],
)
def test_what_does_not_print_is_escaped(text: str, written: str) -> None:
    assert one_line(text) == written


def test_a_text_of_a_peer_is_cut_after_500_characters() -> None:
    assert truncate("x" * 500) == "x" * 500
    assert truncate("x" * 501) == "x" * 500 + "..."


def test_an_error_is_described_in_the_system_s_words() -> None:
    assert reason(OSError(errno.ENOENT, "No such file or directory")) == "no such file or directory"
    assert reason(OSError("Timed Out")) == "timed out"


@pytest.mark.parametrize(
    ("error", "written"),
    [
        (ModuleNotFoundError(name="OpenSSL"), "needs pyOpenSSL: pip install 'txflom[tls]'"),
        (ModuleNotFoundError(name="rich.console"), "needs rich: pip install 'txflom[ctl]'"),
        (
            ImportError("cannot import name 'Console'", name="rich.console"),
            "needs another rich (cannot import name 'Console'): pip install -U 'txflom[ctl]'",
        ),
        (ModuleNotFoundError("No module named '_bz2'", name="_bz2"), "cannot be used: No module named '_bz2'"),
    ],
)
def test_a_missing_package_has_its_extra(error: ImportError, written: str) -> None:
    assert missing_extra(error) == written
