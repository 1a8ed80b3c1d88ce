"""C{flomctl explain}: each status, code and name is explained, and what means nothing is one line."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

from flom.codes import ReturnCode
from flom.ctl.explain import entries
from flom.ctl.main import run
from flom.statuses import STATUSES
from tests.ctl.peers import FLOMCTL


def explain(*words: str) -> int:
    return run(["explain", *words])


def test_a_status_is_explained_for_each_program_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("98") == 0
    ours, of_flom, _, _, own = capsys.readouterr().out.splitlines()
    assert ours.startswith("98 flom-run (busy): The resource is locked, with -o 0, or the time ")
    assert "flomctl status shows who holds it." in ours
    assert of_flom.startswith("98 flom (busy): ")
    assert own.startswith("98: the command may have exited with it: ")


@pytest.mark.parametrize(
    ("word", "begins"),
    [
        ("91", "91 flomctl fence (no token): "),
        ("92", "92 flom-run (already done): "),
        ("93", "93 flom-run (deadlock): "),
        ("3", "3 flomctl: There is a deadlock."),
        ("127", "127 a shell: The command was not found."),
        ("124", "124 timeout: "),
        ("137", "137 a shell, flom (SIGKILL): Signal 9 has ended the command"),
        ("-5", "-5 ret_cod (INVALID_OPTION): ERROR: a specified option is not valid"),
        ("ret_cod=-405", "-405 ret_cod (SSL_ACCEPT_ERROR): "),
        ("ret_cod=4", "4 ret_cod (LOCK_BUSY): "),
        ("LOCK_BUSY", "4 ret_cod (LOCK_BUSY): "),
        ("busy", "98 flom-run (busy): "),
        ("sigterm", "143 a shell, flom (SIGTERM): "),
        ("TERM", "143 a shell, flom (SIGTERM): "),
        ("flm006w", "FLM006W a daemon's log: A client speaks another level of the protocol"),
        ("042", "42: the command may have exited with it: "),
    ],
)
def test_a_word_has_its_meaning(word: str, begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(word) == 0
    said = capsys.readouterr()
    assert any(line.startswith(begins) for line in said.out.splitlines()), said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("256", "256 is neither a status, from 0 to 255, nor a return code of FLoM"),
        ("-99", "-99 is neither a status, from 0 to 255, nor a return code of FLoM"),
        ("ret_cod=98", "ret_cod=98 is neither a status, from 0 to 255, nor a return code of FLoM"),
        ("deadlok", "nothing is called 'deadlok'; did you mean deadlock?"),
        ("²", "nothing is called '²'; flomctl explain lists all there is"),
        ("\n", "nothing is called '\\n'; flomctl explain lists all there is"),
        ("9.5", "nothing is called '9.5'; flomctl explain lists all there is"),
    ],
)
def test_what_means_nothing_is_one_line(word: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(word) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"flomctl: {why}\n")


def test_what_is_known_is_explained_beside_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("97", "nonsense", "FLM003N") == 1
    said = capsys.readouterr()
    assert [line.split(" ")[0] for line in said.out.splitlines()] == ["97", "97", "97", "FLM003N", "97:"]
    assert said.err.count("\n") == 1


def test_an_empty_word_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("") == 2
    assert "it is empty" in capsys.readouterr().err


def test_without_a_word_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(entries()))
    assert len(lines) > len(ReturnCode) + sum(map(len, STATUSES.values()))


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("--json", "93") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["format"] == 1
    meaning = said["meanings"][0]
    assert (meaning["kind"], meaning["value"], meaning["program"]) == ("status", "93", "flom-run")
    assert meaning["name"] == "deadlock"
    assert "--nested=share" in meaning["remedy"]


def test_on_a_terminal_it_is_as_wide_as_that() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "60"}
    done = subprocess.run([FLOMCTL, "explain", "95"], stdout=theirs, env=environment, timeout=20)
    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert done.returncode == 0
    assert len(lines) > 3
    assert max(map(len, lines)) < 60
