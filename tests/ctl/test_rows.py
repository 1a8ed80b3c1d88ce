"""Holders and waiters as rows."""

from __future__ import annotations

from flom.ctl.rows import ORDERS, blocked_first, describe_daemon, plain_lines, sections_of, select
from flom.status.model import LostStatus, QuorumStatus
from tests.fakes.status import make_status


def test_blocked_resources_come_first() -> None:
    status = make_status("a", "z", "z", "R9")
    assert [section.name for section in sections_of(status, blocked_first)] == ["R9", "z", "a"]
    assert [section.name for section in sections_of(status, ORDERS["name"])] == ["R9", "a", "z"]


def test_a_glob_selects_resources_and_nodes() -> None:
    status = make_status("db1", "db2", "/tree/db", "other", "R9")
    assert [resource.name for resource in select(status, "db*").resources] == ["db1", "db2"]
    assert [resource.name for resource in select(status, "*db").resources] == ["/tree/db"]
    assert [lock.name for lock in select(status, "R*").incubator] == ["R9"]


def test_a_name_with_brackets_selects_that_resource() -> None:
    status = make_status("N[5]", "N5", "_s_n[1]")
    assert [resource.name for resource in select(status, "N[5]").resources] == ["N[5]", "N5"]
    assert [resource.name for resource in select(status, "_s_n[1]").resources] == ["_s_n[1]"]


def test_lines_for_programs_have_every_column() -> None:
    heading, holder = plain_lines(sections_of(make_status("N[5]"), blocked_first))
    assert heading.split("\t")[:4] == ["RESOURCE", "TYPE", "FREE", "STATE"]
    assert holder.split("\t")[:4] == ["N[5]", "numeric", "4", "holds"]
    assert len(holder.split("\t")) == len(heading.split("\t"))


def test_a_holder_whose_connection_is_broken_is_in_grace() -> None:
    status = make_status("R")
    [resource] = status.resources
    [holder] = resource.holders
    status = status.replace(resources=(resource.replace(holders=(holder.replace(in_grace=True),)),))
    _, row = plain_lines(sections_of(status, blocked_first))
    assert row.split("\t")[3] == "in grace"


def test_who_shares_a_lock_and_who_waits_to_convert_one_are_told_apart() -> None:
    [resource] = make_status("R").resources
    [holder] = resource.holders
    outer, inner = holder.replace(shares=holder.number), holder.replace(number=98, shares=holder.number)
    waiter = holder.replace(number=99, converts=holder.number)
    status = make_status("R").replace(resources=(resource.replace(holders=(outer, inner), waiters=(waiter,)),))
    _, *rows = plain_lines(sections_of(status, blocked_first))
    assert [row.split("\t")[3] for row in rows] == ["holds", "shares", "converts"]


def test_what_a_lock_delay_keeps_has_a_row() -> None:
    status = make_status("R")
    [resource] = status.resources
    kept = resource.replace(holders=(), lost=(LostStatus(7, "R", "EX", None, None, 11.5),))
    _, row = plain_lines(sections_of(status.replace(resources=(kept,)), blocked_first))
    cells = row.split("\t")
    assert (cells[0], cells[3], cells[10]) == ("R", "lost", "11.5")


def test_a_daemon_in_its_grace_period_is_said_to_be_and_for_how_long() -> None:
    daemon = make_status("R").daemon
    assert "in grace" not in describe_daemon(daemon)
    told = describe_daemon(daemon.replace(grace_left=8.2))
    assert ", in grace for 9 s: only former holders are served, up " in told


QUORUM = QuorumStatus("h1, pid 7", 0.0, 17, True, 2.44, ("h1, pid 7", "h2, pid 8"), {"http://h1:2379": ""}, "")


def test_a_daemon_that_leads_by_a_quorum_says_so() -> None:
    told = describe_daemon(make_status("R").daemon.replace(role="leader", quorum=QUORUM))
    assert ", leader, up " in told
    assert "; quorum: h1, pid 7 leads since " in told
    assert told.endswith(" with epoch 17, lease for 2.4 s; beside it: h2, pid 8")


def test_without_a_majority_of_etcd_it_says_why_no_lock_is_granted() -> None:
    quorum = QUORUM.replace(leader="", since=None, lease_left=None, members=(), problem="etcd does not answer")
    daemon = make_status("R").daemon.replace(role="standby", quorum=quorum.replace(etcd={"http://h1": "no answer"}))
    told = describe_daemon(daemon)
    assert told.endswith(
        "; quorum: no daemon leads; no lock is granted: etcd does not answer; etcd at http://h1: no answer"
    )
