#!/bin/sh
# prometheus_client 0.26.0: a collector with a gauge and a counter of one name is written out, and cannot be read back.
#
# A good engineer guesses that a gauge `connections` (how many there are) and a counter `connections` (how many there
# were, `connections_total` in the text) can stand beside each other, because their samples have different names. In
# OpenMetrics both are the family `connections`. The registry refuses two metrics of its own that clash so, but takes a
# custom collector that yields them, and generate_latest writes the text, which the package's own parser refuses. In
# the older text format, where the family is called connections_total, nothing is wrong: so it shows only when a
# scraper asks for OpenMetrics.
#
# Seen (Python 3.11):
#   written: connections 1.0, connections_total 2.0
#   read back: Received metadata after samples: # HELP connections ever
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'prometheus_client==0.26.0'
cat >"$folder/program.py" <<'PROGRAM'
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families


class Connections:
    def collect(self):
        yield GaugeMetricFamily("connections", "now", value=1)
        yield CounterMetricFamily("connections", "ever", value=2)


registry = CollectorRegistry()
registry.register(Connections())
text = generate_latest(registry).decode()
print("written:", ", ".join(line for line in text.splitlines() if not line.startswith("#")))
try:
    list(text_string_to_metric_families(text))
    print("read back: all of it")
except ValueError as problem:
    print("read back:", problem)
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
written: connections 1.0, connections_total 2.0
read back: Received metadata after samples: # HELP connections ever
EXPECTED
