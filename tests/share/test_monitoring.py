"""Alert rules, the part of a Prometheus configuration, and the Grafana dashboard: what a monitoring system reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # myst-parser, of the extra docs, has it installed
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from flom.ctl.command_line import make_parser
from flom.status.model import QuorumStatus
from tests.fakes.web import Web

ROOT: Final = Path(__file__).parents[2]
SHARE: Final = ROOT / "flom" / "share"
RULES: Final = SHARE / "prometheus" / "flom.rules.yml"
UNIT_TESTS: Final = Path(__file__).parent / "flom.rules.test.yml"
GUIDE: Final = ROOT / "docs" / "howto" / "monitoring.md"

DASHBOARD: Final[dict[str, Any]] = json.loads((SHARE / "grafana" / "flom.json").read_text())
ALERTS: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]


def promtool(*words: str | Path) -> None:
    """Run promtool, and fail with what it says if it is not content."""
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_rules() -> None:
    promtool("check", "rules", RULES)


def test_the_part_of_a_configuration_is_one(tmp_path: Path) -> None:
    for file in RULES.parent.iterdir():
        shutil.copy(file, tmp_path)
    promtool("check", "config", tmp_path / "prometheus.yml")


def test_the_alerts_page_when_they_should(tmp_path: Path) -> None:
    tests = tmp_path / "tests.yml"
    tests.write_text(UNIT_TESTS.read_text().replace("RULES", str(RULES)))
    promtool("test", "rules", tests)


def test_each_alert_is_seen_to_page() -> None:
    tested = set(re.findall(r'alertname="(\w+)"', UNIT_TESTS.read_text()))
    assert tested == {alert["alert"] for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_to_do(alert: dict[str, Any]) -> None:
    said = alert["annotations"]
    assert set(said) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert said["runbook_url"].endswith(f"/howto/monitoring.html#{alert['alert'].lower()}")
    assert f"### {alert['alert']}\n" in GUIDE.read_text()
    commands = re.findall(r"^    ([a-z-]+) ", make_parser().format_help(), re.MULTILINE)
    assert set(re.findall(r"`flomctl ([a-z-]+)", said["description"])) <= set(commands)


def expressions() -> Iterator[str]:
    """Yield each expression of the dashboard, with values in the place of its variables."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["expr"]


def test_the_expressions_of_the_dashboard_can_be_read(tmp_path: Path) -> None:
    texts = [expression.replace("$__rate_interval", "5m") for expression in expressions()]
    rules = [{"record": f"dashboard:number{number}", "expr": text} for number, text in enumerate(texts)]
    path = tmp_path / "dashboard.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", path)


def test_rules_and_dashboard_name_metrics_that_exist() -> None:
    web = Web()
    web.counters.quorum = lambda: QuorumStatus("host", None, 1, True, 1.0, (), {}, "")
    body = web.ask("/metrics", accept="application/openmetrics-text;version=1.0.0").body.decode()
    known = {sample.name for family in text_string_to_metric_families(body) for sample in family.samples}
    variables = [variable.get("definition", "") for variable in DASHBOARD["templating"]["list"]]
    texts = [*(alert["expr"] for alert in ALERTS), *expressions(), *variables]
    named = {name for text in texts for name in re.findall(r"\b(?:flom|process)_[a-z_]+", text)}
    assert len(named) > 25
    assert named - known == set()


def test_the_dashboard_is_one_that_grafana_can_import() -> None:
    panels = DASHBOARD["panels"]
    assert DASHBOARD["uid"] == "txflom"
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [(x, y) for panel in panels for place in [panel["gridPos"]] for x, y in cells(**place)]
    assert len(set(taken)) == len(taken), "two panels at one place"
    assert max(x for x, _ in taken) < 24
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job", "instance"}
    for text in expressions():
        assert 'job=~"$job"' in text
        assert 'instance=~"$instance"' in text


def cells(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    for column in range(x, x + w):
        for row in range(y, y + h):
            yield column, row
