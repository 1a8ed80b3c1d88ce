"""So many later commands may go before one that waits for several locks, and any for which it might wait."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import Programs, eventually

LOCKED = 98


def test_later_commands_are_held_back_unless_one_is_waited_for(programs: Programs, tmp_path: Path) -> None:
    where = ["-s", str(tmp_path / "s")]
    with Daemon("--socket-name", where[1], "--max-overtaking", "2"):
        inner = f"echo held; read line; exec {FLOM_RUN} {' '.join(where)} -r b -o 0 -- echo inner"
        holder = programs.start(*where, "-r", "a", "--", "sh", "-c", inner)
        assert holder.line() == "held"
        several = programs.start(*where, "-r", "b", "-r", "a", "--", "echo", "several")
        eventually(lambda: "waits" in shown(programs, where), "a waiter")
        statuses = [programs.run(*where, "-r", "b", "-o", "0", "--", "true").returncode for _ in range(3)]
        assert statuses == [0, 0, LOCKED]
        late = programs.start(*where, "-r", "b", "--", "echo", "late")
        eventually(lambda: shown(programs, where).count("waits") == 3, "another one")
        assert "echo) came first, and waits for b at once with a\n" in shown(programs, where, "wait-for")
        holder.say("go on")
        ended = holder.finish()
        assert (ended.returncode, ended.stdout) == (0, "inner\n")
        assert several.finish().stdout == "several\n"
        assert late.finish().stdout == "late\n"


def shown(programs: Programs, where: list[str], what: str = "status") -> str:
    return programs.start_program(str(BIN / "flomctl"), what, *where).finish().stdout
