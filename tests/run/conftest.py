"""What tests of a flom-run under a quorum share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flom.core.protocol.messages import Terms
from tests.fakes.leading import TERMS, Answering, Holds, grant
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, Running


@pytest.fixture
def holds_by_quorum(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> Holds:
    """Starts C{flom-run} with some arguments, up to where its command may run under the lock of R1."""

    def start(*words: str, terms: Terms = TERMS, **options: Any) -> tuple[Running, Answering]:
        running = programs.start("-s", str(tmp_path / "fake.sock"), "-r", "R1", *words, **options)
        conversation, asked = fake.accept()
        grant(conversation, asked, terms)
        return running, Answering(conversation)

    return start
