"""
Where the defaults come from: the configuration files, read once for each process
(docs/compatibility.md, "Library: set-up").
"""

from __future__ import annotations

from pathlib import Path

import pytest

from flom import (
    FLOM_HANDLE_STATE_INIT,
    FLOM_RC_INVALID_OPTION,
    FLOM_RC_OK,
    FLOM_RC_REALPATH_ERROR,
    flom_handle_get_lock_mode,
    flom_handle_get_resource_name,
    flom_handle_get_resource_timeout,
    flom_handle_get_socket_name,
    flom_handle_get_trace_filename,
    flom_handle_get_unicast_address,
    flom_handle_get_unicast_port,
    flom_handle_init,
    flom_handle_new,
    flom_handle_t,
)
from tests.libflom.conftest import MakeHandle


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration file of the user."""
    return tmp_path / ".flom"


def test_the_file_of_the_user_says_what_a_new_handle_has(make: MakeHandle, file: Path) -> None:
    file.write_text(
        "[Resource]\nName=R1\nTimeout=100\nLockMode=PR\n[Daemon]\nUnicastAddress=127.0.0.1\nUnicastPort=28016\n"
    )
    handle = make()
    assert flom_handle_get_resource_name(handle) == "R1"
    assert flom_handle_get_resource_timeout(handle) == 100
    assert flom_handle_get_lock_mode(handle) == 3
    assert flom_handle_get_unicast_address(handle) == "127.0.0.1"
    assert flom_handle_get_unicast_port(handle) == 28016
    assert flom_handle_get_socket_name(handle) is None


def test_a_socket_in_the_file_is_in_the_place_of_the_default(make: MakeHandle, file: Path) -> None:
    file.write_text("[Daemon]\nSocketName=/run/flom.sock\n")
    assert flom_handle_get_socket_name(make()) == "/run/flom.sock"


def test_the_file_is_read_once(make: MakeHandle, file: Path) -> None:
    file.write_text("[Resource]\nName=R1\n")
    make()
    file.write_text("[Resource]\nName=R2\n")
    assert flom_handle_get_resource_name(make()) == "R1"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("[Resource]\nTimeout=soon\n", FLOM_RC_INVALID_OPTION, "ERROR: invalid configuration found in file '{file}'"),
        ("[Resource]\nName=a b\n", FLOM_RC_INVALID_OPTION, "ERROR: invalid configuration found in file '{file}'"),
        ("[TLS]\nTlsCertificate=/no/such/file\n", FLOM_RC_REALPATH_ERROR, ""),
        ("[Daemon]\nSocketName=s\nUnicastAddress=a\n", FLOM_RC_INVALID_OPTION, "ERROR: flom can not be configured"),
        ("[TLS]\nTlsCheckPeerId=yes\n", FLOM_RC_INVALID_OPTION, "ERROR: TLS check peer id can not be specified"),
    ],
)
def test_a_file_that_makes_no_sense_is_told_until_it_does(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    file.write_text(text)
    handle = flom_handle_t()
    for _ in range(2):
        assert flom_handle_init(handle) == code
        assert said.format(file=file) in capsys.readouterr().out
    assert (handle.state, handle.config) == (0, None)
    assert flom_handle_new() is None

    file.write_text("[Resource]\nName=R1\n")
    assert flom_handle_init(handle) == FLOM_RC_OK
    assert handle.state == FLOM_HANDLE_STATE_INIT
    assert flom_handle_get_resource_name(handle) == "R1"


def test_a_file_that_is_no_key_file_has_no_effect(make: MakeHandle, file: Path) -> None:
    file.write_text("nonsense\n")
    with pytest.warns(UserWarning, match="going on without it"):
        assert flom_handle_get_resource_name(make()) == "_RESOURCE"


def test_a_file_that_is_no_text_has_no_effect_either(make: MakeHandle, file: Path) -> None:
    file.write_bytes(b"[Resource]\nName=\xff\n")
    with pytest.warns(UserWarning, match="not UTF-8"):
        assert flom_handle_get_resource_name(make()) == "_RESOURCE"


def test_the_file_says_where_the_trace_goes(make: MakeHandle, file: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    file.write_text(f"[Trace]\nCommandTraceFile={trace}\n")
    handle = make()
    assert flom_handle_get_trace_filename(handle) == str(trace)
    assert trace.exists()
