#!/bin/sh
# prometheus_client 0.26.0: choose_encoder takes the first format that a scraper names, not the one that it likes best;
# claims to write any version that is asked for; and fails with a TypeError if a version is no number.
#
# A good engineer guesses that choose_encoder(accept) negotiates: it returns what the scraper prefers of what the package
# can write. It ignores the weights (q=0.1, and even q=0, "not that one"), so an order that is not the one of the weights
# gets the worse format. For version=99.0.0 it writes what it writes for 1.0.0, and returns a content type of version
# 99.0.0. For version=latest it compares a text with a number; the package's WSGI application passes the TypeError on, so
# any client can cause a traceback by a header.
#
# Seen (Python 3.11):
#   q=0.1 before q=1: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores
#   q=0 before anything: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores
#   version 99: application/openmetrics-text; version=99.0.0; charset=utf-8; escaping=underscores
#   version latest: TypeError
#   the WSGI application, version latest: TypeError
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'prometheus_client==0.26.0'
cat >"$folder/program.py" <<'PROGRAM'
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import choose_encoder

OPENMETRICS = "application/openmetrics-text"
for what, accept in (
    ("q=0.1 before q=1", f"{OPENMETRICS};version=1.0.0;q=0.1, text/plain;version=0.0.4;q=1"),
    ("q=0 before anything", f"{OPENMETRICS};version=1.0.0;q=0, */*"),
    ("version 99", f"{OPENMETRICS};version=99.0.0"),
    ("version latest", "text/plain;version=latest"),
):
    try:
        _, answer = choose_encoder(accept)
    except TypeError as problem:
        answer = type(problem).__name__
    print(f"{what}: {answer}")
try:
    make_wsgi_app()({"REQUEST_METHOD": "GET", "HTTP_ACCEPT": "text/plain;version=latest", "PATH_INFO": "/"}, print)
except TypeError as problem:
    print(f"the WSGI application, version latest: {type(problem).__name__}")
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
q=0.1 before q=1: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores
q=0 before anything: application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores
version 99: application/openmetrics-text; version=99.0.0; charset=utf-8; escaping=underscores
version latest: TypeError
the WSGI application, version latest: TypeError
EXPECTED
