"""Man pages: made from the tables of options, read by man(1) without a complaint."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from flom.config import DAEMON, RUNNER, SETTINGS
from flom.job.command_line import NOT_OF_FLOM, OPTIONS
from tests.tools.manual.everything import generated
from tests.tools.manual.man import man_page, man_pages

PAGES = {path.name: path for path in man_pages()}

needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc (Debian package mandoc)")

OF_PROGRAM = {
    "flom-run.1": [setting for setting in SETTINGS if RUNNER in setting.programs],
    "flom.1": [setting for setting in OPTIONS if setting.field not in NOT_OF_FLOM],
    "twistd-flom.8": [setting for setting in SETTINGS if DAEMON in setting.programs],
}


def rendered(page: Path) -> str:
    """Return what man(1) shows of C{page}, without fonts."""
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=100", str(page)], capture_output=True, text=True, timeout=30, check=True
    )
    return re.sub(".\b", "", done.stdout)


def test_what_is_committed_is_what_would_be_written_now() -> None:
    old = [str(path) for path, text in generated().items() if not path.exists() or path.read_text() != text]
    assert old == [], "run make share"


def test_there_are_five_pages() -> None:
    assert sorted(PAGES) == ["flom-run.1", "flom.1", "flom.conf.5", "flomctl.1", "twistd-flom.8"]


@needs_mandoc
@pytest.mark.parametrize("name", PAGES)
def test_man_has_no_complaint(name: str) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", str(PAGES[name])], capture_output=True, text=True, timeout=30
    )
    complaints = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_usual_sections(name: str) -> None:
    sections = re.findall(r"^\.SH (.*)$", PAGES[name].read_text(), re.MULTILINE)
    wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"]
    if name == "flom.conf.5":
        wanted = ["NAME", "DESCRIPTION", "KEYS", "FILES", "EXAMPLES", "SEE ALSO"]
    assert [section for section in sections if section in wanted] == wanted
    assert "OPTIONS" in sections or name in ("flom.conf.5", "flomctl.1")


@needs_mandoc
@pytest.mark.parametrize("name", OF_PROGRAM)
def test_a_page_shows_every_option(name: str) -> None:
    text = rendered(PAGES[name])
    assert [setting.long for setting in OF_PROGRAM[name] if f"--{setting.long}" not in text] == []
    assert "--starter" not in text


@needs_mandoc
def test_the_page_of_flom_says_what_flom_does_not_have() -> None:
    text = " ".join(rendered(PAGES["flom.1"]).split())
    assert "--close do not pass the connection on to the command: the lock ends with this program" in text
    assert "(key [Command] Close; not in FLoM)" in text
    assert "(default _RESOURCE; key [Resource] Name)" in text


@needs_mandoc
def test_the_page_of_the_file_has_every_key() -> None:
    text = rendered(PAGES["flom.conf.5"])
    for setting in SETTINGS:
        group, key = setting.place
        assert f"[{group}]" in text
        assert re.search(rf"^ *{key} = ", text, re.MULTILINE), key


def test_markdown_becomes_requests() -> None:
    text = "# x(1)\n\n## Name\n\nx - `a-b` *c*\n\n`-t` *T*\n: what\n\n```sh\n.y \\n\n```\n\n- one\n- two\n"
    _, title, *lines = man_page("x.1", text).splitlines()
    assert title.startswith(".TH X 1 2")
    assert lines[2:] == [
        *(".SH NAME", "x \\- \\fBa\\-b\\fR \\fIc\\fR", ".TP", "\\fB\\-t\\fR \\fIT\\fR", "what"),
        *(".PP", ".RS 4", ".nf", "\\&.y \\en", ".fi", ".RE", ".IP \\(bu 2", "one", ".IP \\(bu 2", "two"),
    ]
