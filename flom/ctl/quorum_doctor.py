"""What C{flomctl doctor} finds out about a quorum: its members, their clocks, our permissions, and who leads."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from flom.ctl.finding import Finding, Verdict
from flom.ctl.quorum import read_lead, spell_lead
from flom.errors import FlomError, HistoryWentBack

if TYPE_CHECKING:
    from flom.server.quorum.gateway import Gateway

_OLDEST: Final = (3, 4)
_NEWEST: Final = (3, 6)  # that this project has tried, or expects to work

_CLOCKS: Final = 2.0
"""Seconds by which clocks may differ: the time of HTTP is in whole ones."""

_LIMIT: Final = 3.0  # seconds for the answer that has the clock


async def examine_quorum(gateway: Gateway) -> list[Finding]:
    """Look at everything that a daemon under this quorum needs."""
    endpoints = gateway.address.endpoints
    findings = [_check_number(len(endpoints))]
    for endpoint in endpoints:
        findings += await _check_member(gateway, endpoint)
    if not any(finding.verdict is Verdict.OK and finding.check.startswith("etcd ") for finding in findings):
        return findings
    findings += await _check_permissions(gateway)
    findings += await _check_lead(gateway)
    return findings


def _check_number(number: int) -> Finding:
    what = "1 member" if number == 1 else f"{number} members"
    if number < 3:
        return Finding(Verdict.WARNING, "members", f"{what} named: while one of them is down, no daemon leads")
    return Finding(Verdict.OK, "members", f"{what} named")


async def _check_member(gateway: Gateway, endpoint: str) -> list[Finding]:
    what = f"etcd {endpoint}"
    try:
        status = await gateway.status(endpoint)
    except FlomError as e:
        return [Finding(Verdict.FAILED, what, str(e).removeprefix(f"{endpoint}: "))]
    if not status.has_leader:
        why = "; ".join(status.errors) or "no leader"
        return [Finding(Verdict.FAILED, what, f"it knows no leader of etcd ({why}): is it cut off from the others?")]
    findings = [Finding(Verdict.OK, what, f"version {status.version}, it knows the leader of etcd")]
    findings += [Finding(Verdict.WARNING, what, error) for error in status.errors]
    if not _OLDEST <= _version(status.version) <= _NEWEST:
        findings.append(
            Finding(Verdict.WARNING, what, f"version {status.version or 'unknown'}: 3.4 to 3.6 are known to work")
        )
    return [*findings, await _check_clock(gateway, endpoint)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split(".")[:2])


async def _check_clock(gateway: Gateway, endpoint: str) -> Finding:
    what = f"clock of {endpoint}"
    try:
        date = await gateway.date(endpoint)
        ahead = parsedate_to_datetime(date).timestamp() - time.time()
    except FlomError as e:
        return Finding(Verdict.WARNING, what, str(e).removeprefix(f"{endpoint}: "))
    except ValueError:
        return Finding(Verdict.WARNING, what, "it does not say what time it is")
    if abs(ahead) > _CLOCKS:
        direction = "ahead of" if ahead > 0 else "behind"
        return Finding(
            Verdict.WARNING,
            what,
            f"{abs(ahead):.0f} s {direction} the clock here: locks do not depend on it, but in etcd 3.4 a clock that "
            "is set back makes takeovers late",
        )
    return Finding(Verdict.OK, what, f"within {_CLOCKS:g} s of the clock here")


async def _check_permissions(gateway: Gateway) -> list[Finding]:
    """Write, read and delete a key of our own under the prefix, with a lease, as a daemon does."""
    from flom.server.quorum.wire import delete, put

    prefix = gateway.address.prefix
    what = f"permissions of {prefix}"
    key = gateway.address.key(f"doctor-{token_hex(8)}")
    step = "a lease"
    try:
        lease = await gateway.grant_lease(5)
        step = "writing"
        await gateway.transact([], [put(key, b"flomctl doctor", lease.id)])
        step = "reading"
        await gateway.read_all(f"{prefix}/")
        step = "deleting"
        await gateway.transact([], [delete(key)])
        step = "revoking the lease"
        await gateway.revoke(lease.id)
    except FlomError as e:
        return [Finding(Verdict.FAILED, what, f"{step}: {e}")]
    return [Finding(Verdict.OK, what, "leases; reading, writing and deleting keys")]


async def _check_lead(gateway: Gateway) -> list[Finding]:
    try:
        lead = await read_lead(gateway)
    except HistoryWentBack as e:
        return [Finding(Verdict.FAILED, "leader", str(e))]
    except FlomError as e:
        return [Finding(Verdict.FAILED, "leader", str(e))]
    halt = lead.bounds.halt
    if halt is not None:
        return [Finding(Verdict.FAILED, "leader", f"none begins to lead: {halt.why}: flomctl epoch --raise ends that")]
    return [Finding(Verdict.OK if lead.leader else Verdict.FAILED, "leader", spell_lead(lead))]
