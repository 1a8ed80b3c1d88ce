"""C{flomctl doctor}: what it concludes; tests/scenarios/lan runs it in networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flom.core.group.addresses import Group
from flom.core.group.discovery import FoundDaemon
from flom.core.protocol.messages import Discovered, Role, Standing
from flom.ctl import doctor
from flom.ctl.doctor import examine
from flom.ctl.finding import Verdict

GROUP = Group("239.255.42.42", 28015, "", 1)


def found(node: str, role: Role = Role.LEADER) -> FoundDaemon:
    return FoundDaemon("192.0.2.1", 4711, Discovered("", 4711, Standing(node, role, 0)), ("192.0.2.1", 28015))


def conclude(daemons: list[FoundDaemon], heard: list[str], *, looped: bool = True) -> list[tuple[Verdict, str]]:
    """Return verdicts and checks for the daemons that answer and the nodes that are heard as leaders."""
    leaders = [daemon for daemon in daemons if daemon.standing.role is Role.LEADER]
    asker: Any = SimpleNamespace(found=daemons, leaders=leaders)
    listener: Any = SimpleNamespace(leaders=dict.fromkeys(heard, ("192.0.2.1", 28015)))
    findings = doctor._check_answers(asker, listener, looped, GROUP)
    return [(finding.verdict, finding.check) for finding in findings]


def test_a_leader_that_answers_and_is_heard_is_fine() -> None:
    assert conclude([found("a"), found("b", Role.STANDBY)], ["a"]) == [(Verdict.OK, "answer")] * 2


def test_a_leader_that_is_not_heard_is_behind_a_switch() -> None:
    assert conclude([found("a")], [])[1:] == [(Verdict.WARNING, "announcements")]
    assert conclude([found("a")], [], looped=False)[1:] == []


def test_a_leader_that_is_heard_and_does_not_answer_is_behind_a_firewall() -> None:
    assert conclude([], ["a"]) == [(Verdict.FAILED, "answer")]


def test_two_leaders_are_one_too_many() -> None:
    assert conclude([found("a"), found("b")], ["a", "b"])[2:] == [(Verdict.FAILED, "leaders")]


def test_silence_has_two_explanations() -> None:
    assert conclude([], []) == [(Verdict.FAILED, "answer")]


def test_without_an_interface_nothing_else_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "list_interfaces", lambda only: [])
    [finding] = examine(GROUP)
    assert (finding.verdict, finding.check) == (Verdict.FAILED, "interfaces")
