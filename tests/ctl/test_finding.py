"""What C{flomctl doctor} prints."""

from __future__ import annotations

from flom.ctl.finding import Finding, Verdict


def test_a_finding_has_a_verdict_a_check_and_a_detail() -> None:
    assert [verdict.value for verdict in Verdict] == ["ok", "warning", "failed"]
    assert Finding(Verdict.OK, "clock", "fine").detail == "fine"
