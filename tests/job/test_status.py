import signal

import pytest

from flom.job.status import status_after


@pytest.mark.parametrize(("code", "status"), [(0, 0), (99, 99), (255, 255), (-signal.SIGKILL, 137)])
def test_the_status_is_what_a_shell_would_show(code: int, status: int) -> None:
    assert status_after(code) == status
