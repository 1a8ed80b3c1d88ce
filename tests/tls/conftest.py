"""The files that the tests of TLS share."""

from __future__ import annotations

from tests.scenarios.tls.conftest import authority as authority
from tests.scenarios.tls.conftest import files as files
from tests.scenarios.tls.conftest import good as good
