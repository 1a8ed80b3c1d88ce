from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from flom.job.words import CannotExecute, execute, words_with


def test_the_element_is_the_last_word() -> None:
    assert words_with([None, "green"], ["paint", "-v"]) == ["paint", "-v", "green"]
    assert words_with([None], ["paint", "-v"]) == ["paint", "-v"]


def test_what_the_kernel_cannot_execute_goes_to_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "script"
    script.write_text("exit 3\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    started = []

    def spawn(words: Sequence[str]) -> int:
        started.append(list(words))
        if len(started) == 1:
            raise OSError(errno.ENOEXEC, os.strerror(errno.ENOEXEC))
        return 7

    assert execute(["script", "x"], spawn) == 7
    assert started == [["script", "x"], ["/bin/sh", str(script), "x"]]


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ([""], None, "Unable to execute command '': it has no name"),
        (
            ["x"],
            OSError(errno.ENOENT, "No such file or directory"),
            "Unable to execute command 'x': no such file or directory",
        ),
        (["x"], ValueError("embedded null byte"), "Unable to execute command 'x': embedded null byte"),
    ],
)
def test_a_command_that_cannot_start_is_named(words: list[str], error: Exception | None, said: str) -> None:
    def spawn(words: Sequence[str]) -> None:
        assert error is not None
        raise error

    with pytest.raises(CannotExecute) as raised:
        execute(words, spawn)
    assert str(raised.value) == said
