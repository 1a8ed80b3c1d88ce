"""What is a name of a resource, and of which type (docs/compatibility.md, "Resource names")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.names import (
    DEFAULT_NAME,
    HierarchicalName,
    NumericName,
    ResourceName,
    SequenceName,
    SetName,
    SimpleName,
    TimestampName,
    parse_name,
)
from flom.errors import InvalidName

VALID: dict[str, ResourceName] = {
    "R1": SimpleName("R1"),
    "r": SimpleName("r"),
    "a" * 240: SimpleName("a" * 240),
    "_RESOURCE": SimpleName("_RESOURCE"),
    "N[5]": NumericName("N[5]", 5),
    "N[0]": NumericName("N[0]", 0),
    "N[03]": NumericName("N[03]", 3),
    "N[2147483647]": NumericName("N[2147483647]", 2**31 - 1),
    "N[2147483648]": NumericName("N[2147483648]", -(2**31)),
    "N[4294967298]": NumericName("N[4294967298]", 2),
    "N[9223372036854775807]": NumericName("N[9223372036854775807]", -1),
    "N[9223372036854775808]": NumericName("N[9223372036854775808]", -1),
    f"N[{'9' * 200}]": NumericName(f"N[{'9' * 200}]", -1),
    f"N[{'0' * 200}7]": NumericName(f"N[{'0' * 200}7]", 7),
    "red.green.blue": SetName("red.green.blue", ("red", "green", "blue")),
    "u.u": SetName("u.u", ("u", "u")),
    "a.b1": SetName("a.b1", ("a", "b1")),
    "/a": HierarchicalName("/a", ("a",)),
    "/a/b c/x.1[2]": HierarchicalName("/a/b c/x.1[2]", ("a", "b c", "x.1[2]")),
    "/ ": HierarchicalName("/ ", (" ",)),
    "/a/é&\"'": HierarchicalName("/a/é&\"'", ("a", "é&\"'")),
    "/a/\udce9": HierarchicalName("/a/\udce9", ("a", "\udce9")),
    "_s_a[1]": SequenceName("_s_a[1]", 1, transactional=False),
    "_S_a[3]": SequenceName("_S_a[3]", 3, transactional=True),
    "_s_a[0]": SequenceName("_s_a[0]", 0, transactional=False),
    "_t_%H:%M:%S#fff[2]": TimestampName("_t_%H:%M:%S#fff[2]", "%H:%M:%S#fff", 2),
    "_t_#ffffff[0]": TimestampName("_t_#ffffff[0]", "#ffffff", 0),
    "_t_T.1:\\%S[1]": TimestampName("_t_T.1:\\%S[1]", "T.1:\\%S", 1),
    "_t_foo[1]": TimestampName("_t_foo[1]", "foo", 1),
}

INVALID = [
    *("", " ", "1a", "a_b", "a-b", "a b", "a ", " a", "é", "a\n", "a\n1", "1\nb", "a\0", "_resource", "_RESOURCE1"),
    *("N[-1]", "N[]", "N[+1]", "N[1", "N1]", "N[ 1]", "1[3]", "N[3]x", "N[3][3]", "N[1.5]", "N[٣]"),
    *("a.", ".a", "a..b", ".", "a.1", "a.b ", "A[1].b", "a.b[1]", "a._RESOURCE"),
    *("/", "/a/", "/a//b", "//a", "/a\\b", "\\", "a/b", "/a\nb", "/a/\n", "/a\tb", "/\x7f"),
    *("_s_1[1]", "_s_a", "_x_a[1]", "_s_a.b[1]", "_s_[1]", "_s_a[]", "s_a[1]", "__s_a[1]", "_s_a[-1]"),
    *("_T_%S[1]", "_t_1%S[1]", "_t_%S-%M[1]", "_t_[1]", "_t_%S", "_t_\\%S[1]", "_t_.%S[1]", "_t_:%S[1]", "_t_%S [1]"),
]


@pytest.mark.parametrize(("text", "name"), VALID.items(), ids=[text[:30] for text in VALID])
def test_the_name_alone_tells_the_type(text: str, name: ResourceName) -> None:
    assert parse_name(text) == name
    assert name.text == text


@pytest.mark.parametrize("text", INVALID)
def test_anything_else_is_no_name(text: str) -> None:
    with pytest.raises(InvalidName, match="not a valid name"):
        parse_name(text)


@pytest.mark.parametrize("text", [text for text in VALID if not text.startswith("/")], ids=lambda text: text[:30])
def test_the_text_is_the_identity(text: str) -> None:
    assert parse_name(text).key == text


def test_the_first_level_is_the_identity_of_a_tree() -> None:
    assert {parse_name(text).key for text in ("/a", "/a/b", "/a/b/c", "/a/a")} == {"/a"}
    assert parse_name("/ab").key != parse_name("/a/b").key


def test_the_default_name_is_a_simple_one() -> None:
    assert parse_name(DEFAULT_NAME) == SimpleName("_RESOURCE")


@given(st.text(st.sampled_from("aZ09_[].%#/\\:sSt \n\0"), max_size=12))
def test_whatever_is_read_reads_as_itself_or_is_invalid(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidName:
        return
    assert name.text == text
    assert name.key in (text, "/" + text.split("/")[1] if text.startswith("/") else text)


def test_names_that_are_longer_than_any_of_flom_s_are_not_kept() -> None:
    usual, long = "/" + "a" * 510, "/" + "a" * 511
    assert parse_name(usual) is parse_name(usual)
    assert parse_name(long) == parse_name(long)
    assert parse_name(long) is not parse_name(long)
