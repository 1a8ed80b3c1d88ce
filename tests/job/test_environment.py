import os
import subprocess
import sys

import pytest

from flom.core.modes import LockMode
from flom.errors import InvalidName
from flom.job.environment import TakenLock, add_locks


def variables(
    name: str, mode: LockMode = LockMode.EX, element: str | None = None, token: int | None = None
) -> dict[bytes, bytes]:
    return variables_of(TakenLock(name, mode, 1, element, token))


def variables_of(*locks: TakenLock) -> dict[bytes, bytes]:
    of_another = {b"FLOM_ELEMENT": b"of another lock", b"FLOM_RESOURCE": b"other", b"FLOM_TOKEN": b"1"}
    environment = {b"HOME": b"/", b"FLOM_RESOURCES": b"other\tEX\t1\t1\t"} | of_another
    add_locks(environment, locks)
    return environment


def test_a_command_is_told_of_its_lock() -> None:
    assert variables("R", LockMode.PR) == {
        b"HOME": b"/",
        b"FLOM_RESOURCE": b"R",
        b"FLOM_LOCK_MODE": b"PR",
        b"FLOM_RESOURCES": b"R\tPR\t1\t0\t",
    }


def test_a_command_is_told_of_all_its_locks_and_not_of_one() -> None:
    """No value is empty but the last, because C{read} of a shell takes two tabs for one."""
    locks = (
        TakenLock("a", LockMode.EX, 1, None, 2**32 + 1),
        TakenLock("b[5]", LockMode.EX, 2, None, 2**32 + 2),
        TakenLock("red.green", LockMode.PR, 1, "red", 2**32 + 3),
    )
    assert variables_of(*locks) == {
        b"HOME": b"/",
        b"FLOM_RESOURCES": b"a\tEX\t1\t4294967297\t\nb[5]\tEX\t2\t4294967298\t\nred.green\tEX\t1\t4294967299\tred",
    }


def test_the_element_is_there_if_the_lock_has_one() -> None:
    assert variables("red.green", element="green")[b"FLOM_ELEMENT"] == b"green"


def test_the_token_is_there_if_the_daemon_has_said_one() -> None:
    assert variables("R", token=2**62 + 1)[b"FLOM_TOKEN"] == b"4611686018427387905"


@pytest.mark.parametrize(
    ("name", "mode"), [("R", "PR"), ("/a/b", "PR"), ("a.b", "EX"), ("n[3]", "EX"), ("_s_s[1]", "EX")]
)
def test_a_resource_without_modes_is_held_exclusively(name: str, mode: str) -> None:
    assert variables(name, LockMode.PR)[b"FLOM_LOCK_MODE"] == mode.encode()


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidName):
        variables("a b")


def test_the_environment_is_the_one_that_the_process_was_started_with() -> None:
    script = (
        "import os; os.environ['NEW'] = '1'; from flom.job.environment import inherited_environment as of; print(of())"
    )
    given = {"A": "1=2", "LANG": "C", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str({os.fsencode(key): os.fsencode(value) for key, value in given.items()})
