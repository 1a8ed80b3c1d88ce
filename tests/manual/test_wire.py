"""The reference of the protocol has every message, tag, attribute and code that this project writes or reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.core.protocol import decode, encode
from flom.core.protocol.messages import Role, WhyWithdrawn

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "protocol.md").read_text()

SOURCE = Path(encode.__file__).read_text().replace(encode.DECLARATION, "")

ATTRIBUTES = sorted(set(re.findall(r' ([a-z]+)=(?:"|\{)', SOURCE)))


@pytest.mark.parametrize(("verb", "step"), sorted(decode._BUILDERS))
def test_every_message_is_in_the_reference(verb: int, step: int) -> None:
    assert re.search(rf"\b{verb}/{step}\b", PAGE)


def test_attributes_are_found_in_the_source() -> None:
    assert {"level", "verb", "step", "rc", "session", "rollback", "reason"} <= set(ATTRIBUTES)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_attribute_is_in_the_reference(attribute: str) -> None:
    assert re.search(rf'[` ]{attribute}(=(\\?"|`)|`)', PAGE)


@pytest.mark.parametrize("tag", sorted(decode.KNOWN_TAGS))
def test_every_tag_is_in_the_reference(tag: str) -> None:
    assert f"<{tag}" in PAGE or f"`{tag}`" in PAGE


def test_every_code_and_every_word_is_in_the_reference() -> None:
    words = [
        *(str(code.value) for code in Outcome if code not in (Outcome.INVALID_TIMESTAMP_FORMAT, Outcome.UNSUPPORTED))
    ]
    assert [word for word in words if not re.search(rf"^\| {word} \|", PAGE, re.MULTILINE)] == []
    said = [role.value for role in Role] + [why.value for why in WhyWithdrawn if why is not WhyWithdrawn.GONE]
    assert [word for word in said if word not in PAGE] == []
