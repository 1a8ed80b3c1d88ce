"""The names: what C{from flom import *} gives, what that costs, and what type checkers know of them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flom

MODES = [f"FLOM_LOCK_MODE_{mode}" for mode in ("NL", "CR", "CW", "PR", "PW", "EX", "N", "INVALID")]
STATUSES = {
    "FLOM_ES_OK": 0,
    "FLOM_ES_REQUESTER_CANT_WAIT": 96,
    "FLOM_ES_UNABLE_TO_EXECUTE_COMMAND": 97,
    "FLOM_ES_RESOURCE_BUSY": 98,
    "FLOM_ES_GENERIC_ERROR": 99,
}
STATES = [f"FLOM_HANDLE_STATE_{state}" for state in ("INIT", "CONNECTED", "LOCKED", "DISCONNECTED", "CLEANED")]
CALLS = ["flom_strerror", "flom_handle_get_locked_element"] + [
    f"flom_handle_{what}" for what in ("init", "new", "clean", "delete", "lock", "unlock", "unlock_rollback")
]
PROPERTIES = [
    "discovery_attempts",
    "discovery_timeout",
    "discovery_ttl",
    "lock_mode",
    "multicast_address",
    "multicast_port",
    "network_interface",
    "resource_create",
    "resource_idle_lifespan",
    "resource_name",
    "resource_quantity",
    "resource_timeout",
    "socket_name",
    "tls_certificate",
    "tls_private_key",
    "tls_ca_certificate",
    "tls_check_peer_id",
    "trace_filename",
    "unicast_address",
    "unicast_port",
]
CODES = (Path(__file__).parent / "codes.txt").read_text().splitlines()


def star() -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec("from flom import *", names)
    del names["__builtins__"]
    return names


def python(program: str) -> str:
    """Run C{program} in a process of its own; give what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_star_gives_the_191_names_of_flom_and_no_other() -> None:
    expected = {*MODES, *STATUSES, "TRUE", "FALSE", *STATES, *CALLS, "flom_handle_t"}
    expected |= {f"flom_handle_{do}_{name}" for do in ("get", "set") for name in PROPERTIES}
    expected |= {line.split()[1] for line in CODES}
    assert set(star()) == expected
    assert len(expected) == 191
    assert sorted(flom.__all__) == sorted(expected)


def test_the_modes_are_numbered_from_0() -> None:
    assert [star()[name] for name in MODES] == list(range(8))


def test_the_states_are_numbered_from_22() -> None:
    assert [star()[name] for name in STATES] == list(range(22, 27))


def test_the_exit_statuses_are_those_of_the_command() -> None:
    assert {name: star()[name] for name in STATUSES} == STATUSES


def test_truth_is_a_number() -> None:
    assert (flom.TRUE, flom.FALSE) == (1, 0)


@pytest.mark.parametrize("line", CODES, ids=[line.split()[1] for line in CODES])
def test_a_return_code_has_its_number_and_its_text(line: str) -> None:
    number, name, text = line.split(" ", 2)
    assert star()[name] == int(number)
    assert flom.flom_strerror(int(number)) == text


@pytest.mark.parametrize("code", [14, -29, -99, -500, 2**70])
def test_a_number_that_is_no_code_has_a_text_too(code: int) -> None:
    assert flom.flom_strerror(code) == "ERROR: unknown error"


def test_a_deadlock_which_flom_has_no_code_for_has_a_text_of_ours() -> None:
    assert flom.flom_strerror(20) == "WARNING: to wait for the lock would be to wait for ever: a deadlock"


def test_constants_print_as_numbers() -> None:
    assert {type(value) for name, value in star().items() if name.isupper()} == {int}


def test_functions_know_their_names() -> None:
    functions = {name: value for name, value in star().items() if inspect.isfunction(value)}
    assert len(functions) == 49
    for name, function in functions.items():
        assert function.__name__ == name
        assert function.__doc__


# what it costs


def test_the_package_alone_imports_nothing_of_ours() -> None:
    assert (
        python("import sys, flom; print([name for name in sys.modules if name.startswith('flom')])")
        == "['flom._version', 'flom']\n"
    )


def test_the_star_imports_neither_twisted_nor_openssl() -> None:
    strangers = ("twisted", "zope", "OpenSSL", "cryptography")
    program = f"from flom import *; import sys; print([name for name in sys.modules if name.startswith({strangers})])"
    assert python(program) == "[]\n"


def test_the_star_hides_nothing_of_ours() -> None:
    program = """
lock = "mine"
from flom import *
import flom, flom.codes, flom.libflom
print(lock, flom.codes.ExitStatus.OK.value, flom.__version__)
"""
    assert python(program) == f"mine 0 {flom.__version__}\n"


def test_what_is_not_there_is_missed_as_in_any_module() -> None:
    for name in ("nothing", "flom_nothing", "FLOM_NOTHING", "__path__x"):
        with pytest.raises(AttributeError, match=f"module 'flom' has no attribute '{name}'"):
            getattr(flom, name)


# types


def test_a_type_checker_knows_them_all(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text("""
from flom import *
from flom.codes import ExitStatus

lock = "a name of the user's own"

handle = flom_handle_t()
code: int = flom_handle_init(handle)
if code == FLOM_RC_OK and flom_handle_set_resource_name(handle, "R1") == FLOM_RC_OK:
    element: str | None = flom_handle_get_locked_element(handle)
flom_handle_set_resource_quantity(handle, "five")
print(ExitStatus.OK)
""")
    (tmp_path / "another.py").write_text("""
from flom import __version__, lock

print(__version__, lock)
""")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "user.py", "another.py"],
        cwd=tmp_path,
        env={"MYPYPATH": str(Path(flom.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    complaint, _ = done.stdout.splitlines()
    assert complaint.startswith("user.py:11: error: Argument 2")
