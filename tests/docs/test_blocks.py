"""What counts as a command of a page, and as what it prints."""

from __future__ import annotations

import pytest

from tests.docs.blocks import BadBlock, Shown, read_commands

PAGE = """
# A page

```console
$ flom-run -- echo hello
hello
$ cat > file << end
> text
>
> end
$ echo $?
0
```

```sh
this is not run
```

- In a list:

  ```console
  one$ flom-run -A ff02::1 -- true
  two# id

  uid=...
  ```

```console
# nft list ruleset
# the second one
```
"""


def test_the_commands_of_a_page_are_found() -> None:
    assert read_commands(PAGE) == [
        Shown(5, "", "flom-run -- echo hello", ["hello"]),
        Shown(7, "", "cat > file << end\ntext\n\nend"),
        Shown(11, "", "echo $?", ["0"]),
        Shown(22, "one", "flom-run -A ff02::1 -- true"),
        Shown(23, "two", "id", ["", "uid=..."]),
        Shown(29, "", "nft list ruleset"),
        Shown(30, "", "the second one"),
    ]


def test_a_block_within_a_directive_is_found() -> None:
    assert read_commands(":::{note}\nText.\n\n```console\n$ true\n```\n:::\n") == [Shown(5, "", "true")]


def test_what_looks_like_a_prompt_may_be_printed() -> None:
    [shown] = read_commands("```console\n$ flomctl status | cat\n# leading\n```\n")
    assert shown.output == ["# leading"]


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("```console\nhello\n```\n", "line 2: a console block begins with a prompt"),
        ("text\n```console\n$ true\n", "line 2: the block does not end"),
    ],
)
def test_a_block_without_commands_is_an_error(page: str, problem: str) -> None:
    with pytest.raises(BadBlock, match=problem):
        read_commands(page)


@pytest.mark.parametrize(
    ("output", "found", "is_match"),
    [
        ([], [], True),
        (["a"], [], False),
        ([], ["a"], False),
        (["a", "b"], ["b", "a"], False),
        (["pid ...: held"], ["pid 12: held"], True),
        (["pid ...: held"], ["pid 12: waits"], False),
        (["pid ...: held"], ["pid 12", ": held"], False),
        (["a", "...", "z"], ["a", "z"], True),
        (["a", "...", "z"], ["a", "b", "c", "z"], True),
        (["a", "...", "z"], ["a", "b", "c"], False),
        (["[1] (x*"], ["[1] (x*"], True),
        (["WHO     FOR", "──────────"], ["WHO  FOR", "───"], True),
        (["WHO  FOR"], ["WHO FOR"], False),
    ],
)
def test_dots_stand_for_what_varies(output: list[str], found: list[str], is_match: bool) -> None:
    assert Shown(1, "", "true", output).matches(found) == is_match
