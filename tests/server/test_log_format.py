"""How lines of the log are written."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny

from flom.server.log_format import choose_log, journal_lines, json_line, log

FIXED = {"level", "logger", "message", "time"}


def event_of(log: Callable[[Logger], None]) -> LogEvent:
    """Return the event that C{log} has a logger make."""
    logged: list[LogEvent] = []
    log(Logger("flom.x", observer=logged.append))  # type: ignore[arg-type]  # any function can observe
    return logged[0]


def test_a_line_of_json_has_the_message_and_the_fields() -> None:
    event = event_of(lambda log: log.warn("{resource} refused to {peer}", resource="R", peer="pid 7", waited=1.5))
    event["log_time"] = 1_000_000_000.25
    line = json_line(event)
    assert line is not None
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2001-09-09T01:46:40.250Z",
        "level": "warn",
        "logger": "flom.x",
        "message": "R refused to pid 7",
        "resource": "R",
        "peer": "pid 7",
        "waited": 1.5,
    }


def test_an_id_of_flom_s_has_a_field() -> None:
    line = json_line(event_of(lambda log: log.info("{log_id} ready", log_id="FLM003N")))
    assert line is not None
    assert json.loads(line)["id"] == "FLM003N"


def test_what_json_has_no_word_for_is_written_as_text() -> None:
    line = json_line(event_of(lambda log: log.info("x", path=Path("/a"), message="mine", name="caf\udce9\n")))
    assert line is not None
    record = json.loads(line)
    assert (record["path"], record["name"], record["message"]) == ("/a", "caf\udce9\n", "x")


def test_a_failure_has_its_traceback() -> None:
    failure = Failure(ValueError("wrong"))
    event = event_of(lambda log: log.failure("fault", failure))
    line = json_line(event)
    assert line is not None
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("critical", "fault")
    assert "ValueError: wrong" in record["traceback"]
    assert set(record) == FIXED | {"traceback"}
    assert all(each.startswith("<2>") for each in (journal_lines(event) or "").splitlines())


def test_events_of_older_programs_have_no_fields_of_their_own() -> None:
    legacy = {"message": ("hi",), "time": 5.0, "system": "-", "isError": 0, "log_format": "{message[0]}"}
    line = json_line({**legacy, "log_level": LogLevel.info, "log_namespace": "x", "log_time": 5.0})
    assert line is not None
    assert set(json.loads(line)) == FIXED
    assert json_line({"log_format": ""}) is None


@pytest.mark.parametrize(("level", "priority"), [("debug", 7), ("info", 6), ("warn", 4), ("error", 3), ("critical", 2)])
def test_the_journal_is_told_the_priority(level: str, priority: int) -> None:
    event = event_of(lambda log: log.emit(LogLevel.levelWithName(level), "one\n\ntwo"))
    assert journal_lines(event) == f"<{priority}>one\n<{priority}>two\n"


class Stdout(io.StringIO):
    """A stdout that leads to the file of a descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


@pytest.fixture
def stdout() -> Iterator[Stdout]:
    reading, writing = os.pipe()
    yield Stdout(writing)
    os.close(reading)
    os.close(writing)


Written = Callable[..., "str | None"]


@pytest.fixture
def written(stdout: Stdout, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Returns what an observer writes of one event; None if twistd's own is left in place."""

    def written(options: dict[str, Any], chosen: str = "", **environ: str) -> str | None:
        monkeypatch.setattr("sys.stdout", stdout)
        choose_log(options, chosen, environ, lambda call: call())
        if "logger" not in options:
            return None
        assert namedAny(options["logger"]) is log
        log()(event_of(lambda log: log.info("hi")))
        return stdout.getvalue()

    return written


def test_lines_for_the_journal_are_for_the_journal_alone(stdout: Stdout, written: Written) -> None:
    found = os.fstat(stdout.fileno())
    journal = f"{found.st_dev}:{found.st_ino}"
    assert written({"nodaemon": 1}) is None
    assert written({"nodaemon": 1}, JOURNAL_STREAM="1:2") is None
    assert written({"nodaemon": 1}, "text", JOURNAL_STREAM=journal) is None
    assert written({"nodaemon": 1, "logfile": "log"}, JOURNAL_STREAM=journal) is None
    assert written({"nodaemon": 1}, JOURNAL_STREAM=journal) == "<6>hi\n"


def test_a_log_file_is_written_and_turned_over(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    options: dict[str, Any] = {"logfile": str(tmp_path / "log")}
    try:
        choose_log(options, "json", {}, lambda call: call())
        observer = log()
        observer(event_of(lambda log: log.info("one")))
        os.kill(os.getpid(), signal.SIGUSR1)
        observer(event_of(lambda log: log.info("two")))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert json.loads((tmp_path / "log.1").read_text())["message"] == "one"
    assert json.loads((tmp_path / "log").read_text())["message"] == "two"


@pytest.mark.parametrize("option", ["logger", "syslog"])
def test_where_twistd_decides_nothing_can_be_chosen(option: str) -> None:
    with pytest.raises(ValueError, match=f"^twistd's --{option} decides how the log is written$"):
        choose_log({option: "x"}, "json", {}, lambda call: call())
    options = {option: "x"}
    choose_log(options, "", {}, lambda call: call())
    assert options == {option: "x"}
