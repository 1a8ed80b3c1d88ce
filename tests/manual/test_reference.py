"""The reference has every status, variable, metric and so on, and can be read in a terminal."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.codes import ReturnCode
from flom.statuses import STATUSES
from tests.tools.manual.messages import _messages_in, kinds, messages
from tests.tools.manual.pages import PART, pages
from tests.tools.manual.tables import INTERNAL, VARIABLES

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = sorted((ROOT / "flom").rglob("*.py"))


def read(page: str) -> str:
    return (REFERENCE / page).read_text()


def test_every_exit_status_is_in_the_reference() -> None:
    said = {meaning for meanings in STATUSES.values() for meaning in meanings}
    page = read("exit-statuses.md")
    assert [each for each in said if f"\n`{each.status}` {each.word}".rstrip() + "\n: " not in page] == []


def test_every_program_with_statuses_is_in_the_reference() -> None:
    page = read("exit-statuses.md")
    assert [program for program in STATUSES if f"<!-- begin statuses {program} -->" not in page] == []


def test_every_return_code_is_in_the_reference() -> None:
    page = read("exit-statuses.md")
    assert [code.name for code in ReturnCode if f"\n`{int(code)}` {code.name}\n: " not in page] == []


_VARIABLE = re.compile(r"(FLOM|XDG|LISTEN|NOTIFY|WATCHDOG)_[A-Z_]*[A-Z]")


def variables_in(path: Path) -> Iterator[str]:
    """Yield the names of variables of the environment that a module reads or sets."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=of, attr="get" | "pop" | "setdefault"), args=[ast.Constant(key), *_]
            ):
                is_one = "environ" in ast.unparse(of)
            case ast.Subscript(value=of, slice=ast.Constant(key)):
                is_one = "environ" in ast.unparse(of)
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(key), *_]):
                is_one = True
            case ast.Constant(value=str() | bytes() as key):
                is_one = "libflom" not in path.parts and bool(_VARIABLE.fullmatch(_text_of(key)))
            case _:
                continue
        if is_one:
            yield _text_of(key)


def _text_of(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_every_variable_is_in_the_reference() -> None:
    known = {name for names, _, _ in VARIABLES for name in names.split(", ")} | set(INTERNAL)
    found = {name for path in SOURCES for name in variables_in(path)}
    assert len(found) > 10
    assert found - known == set()
    page = read("environment.md")
    assert [name for names, _, _ in VARIABLES for name in names.split(", ") if f"`{name}`" not in page] == []


def test_every_metric_is_in_the_reference() -> None:
    """Their names stand in the modules of the web; a counter has C{_total} behind it where it is read."""
    text = "\n".join(path.read_text() for path in (ROOT / "flom" / "server" / "web").glob("*.py"))
    found = set(re.findall(r'"(flom_[a-z_]+)"', text))
    assert len(found) > 15
    page = read("metrics.md")
    assert [name for name in found if not re.search(rf"`{name}(_total)?`", page)] == []


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_what_is_generated_can_be_read_in_a_terminal(page: Path) -> None:
    for part in PART.finditer(page.read_text()):
        assert [line for line in part["part"].splitlines() if len(line) > 100 and " " in line] == []


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.name
)
def test_a_table_fits_a_terminal(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [line for line in text.splitlines() if line.startswith("|") and len(line) > 100] == []


def test_every_kind_of_message_is_in_the_reference_once() -> None:
    """What is new of a kind comes into its list by itself; for a new kind, the page has to say what can be done."""
    listed = [
        kind.strip()
        for part in PART.finditer(read("messages.md"))
        if part["what"].startswith("messages ")
        for kind in part["what"].removeprefix("messages ").split(",")
    ]
    assert sorted(listed) == sorted(kinds())
    assert len(messages()) > 300


def test_messages_with_advice_are_messages() -> None:
    advised = read("messages.md").partition("## Those that are met most")[2].partition("\n## ")[0]
    terms = re.findall(r"^`(.+)`$", advised, re.MULTILINE)
    assert len(terms) > 5
    texts = [message.text for message in messages()]
    assert [term for term in terms if not any(text.startswith(term.removesuffix(" ...")) for text in texts)] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ConfigError(f'{path}: {reason(e)} in {self._file}')", "PATH: WHY in FILE"),
        ("raise ConfigError('not so' if x else f'but {y[1]} so')", "but ... so"),
        ("print_error(f'no {x}' + y)", "no X..."),
        ("self._log.warn('{peer} has gone for {seconds:g} s', peer=1)", "PEER has gone for SECONDS s"),
        ("class Bad(ConfigError):\n def __init__(self): super().__init__('it is bad')", "it is bad"),
    ],
)
def test_a_message_is_found_in_the_source(source: str, said: str) -> None:
    found = _messages_in(ast.parse(source), {"ConfigError", "Bad"}, is_server=True, is_wording=False)
    assert said in [message.text for message in found]


def test_messages_that_users_meet_are_listed() -> None:
    page = " ".join(read("messages.md").split())
    for text in (
        "`locked HELD`",
        "`PATH: no daemon is listening`",
        "`the lock was lost: WHY...`",
        "`unknown option OPTION`",
        "`Unable to execute command 'COMMAND': WHY`",
        "`PEER has not come back: its locks end`",
    ):
        assert text in page
