"""What the tests on hosts of their own share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs
from tests.scenarios.lan.network import Lan


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are C{slow}, and much like others, unless C{FLOM_LAN_ROUNDS} asks for more."""
    if not os.environ.get("FLOM_LAN_ROUNDS"):
        here = Path(__file__).parent
        slow = [item for item in items if here in item.path.parents and item.get_closest_marker("slow") is not None]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """Processes that do not outlive the test."""
    # hundreds of them start; each would compile all of flom for itself
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    with Programs() as programs:
        yield programs


@pytest.fixture
def lan(programs: Programs, tmp_path: Path, marks: Marks) -> Iterator[Lan]:
    """A network without hosts yet; the logs of the daemons there are shown if the test fails."""
    with Lan("flomlan", "10.77.1", programs, tmp_path, marks) as lan:
        yield lan
        lan.kill_all()
        print(lan.logs())


@pytest.fixture
def other_lan(programs: Programs, tmp_path: Path) -> Iterator[Lan]:
    """Another network, not connected to the first."""
    with Lan("flomother", "10.77.2", programs, tmp_path, Marks(tmp_path / "other-marks")) as lan:
        yield lan
        lan.kill_all()
        print(lan.logs())


@pytest.fixture
def tls(tmp_path: Path) -> list[str]:
    """
    The options that have a daemon or a command speak TLS and check the other end's unique id.

    They are the same on all hosts: these share the id of the machine, so one certificate will do.
    """
    authority = make_authority(tmp_path / "certificates", days=1)
    issued = issue(tmp_path / "certificates", unique_id(), days=1)
    return [
        *("--tls-certificate", str(issued.certificate)),
        *("--tls-private-key", str(issued.key)),
        *("--tls-ca-certificate", str(authority.certificate)),
        *("--tls-check-peer-id", "yes"),
    ]
