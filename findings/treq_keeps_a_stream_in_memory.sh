#!/bin/sh
# treq 26.7.0: treq.collect, made for streams, keeps all that has come in memory.
#
# A good engineer guesses that treq.collect(response, collector), "incrementally collect the body of the response", needs
# no more memory than one piece. But every response keeps its whole body, so that it can be read again; only a request
# with unbuffered=True does not. A client that follows an endless stream, such as a watch, grows until it is killed.
#
# Seen (Linux 6.18, Python 3.11):
#   collected by treq.collect: 64 MB, kept meanwhile: more than 60 MB
#   the same with unbuffered=True: 64 MB, kept meanwhile: less than 10 MB
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check 'Twisted==26.10.0' 'treq==26.7.0'
cat >"$folder/program.py" <<'PROGRAM'
import tracemalloc

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

SIZE, PIECE = 64_000_000, bytes(64_000)


class Stream(Resource):
    isLeaf = True

    def render_GET(self, request):
        self.left = SIZE
        request.registerProducer(Pieces(self, request), False)
        return NOT_DONE_YET


class Pieces:
    def __init__(self, stream, request):
        self.stream, self.request = stream, request

    def resumeProducing(self):
        if self.stream.left <= 0:
            self.request.unregisterProducer()
            self.request.finish()
            return
        self.stream.left -= len(PIECE)
        self.request.write(PIECE)

    def stopProducing(self):
        pass


async def measure(url, **options):
    came = 0

    def collect(data):
        nonlocal came
        came += len(data)

    response = await treq.get(url, persistent=False, **options)
    tracemalloc.start()
    await treq.collect(response, collect)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert came == SIZE
    size = "less than 10 MB" if kept < 10e6 else "more than 60 MB" if kept > 60e6 else f"{kept} bytes"
    return f"{came // 10**6} MB, kept meanwhile: {size}"


async def run():
    port = reactor.listenTCP(0, Site(Stream()), interface="127.0.0.1")
    url = f"http://127.0.0.1:{port.getHost().port}/"
    print("collected by treq.collect:", await measure(url))
    print("the same with unbuffered=True:", await measure(url, unbuffered=True))
    reactor.stop()


reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run()).addErrback(print))
reactor.callLater(60, reactor.stop)
reactor.run()
PROGRAM
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/seen"
diff - "$folder/seen" <<'EXPECTED'
collected by treq.collect: 64 MB, kept meanwhile: more than 60 MB
the same with unbuffered=True: 64 MB, kept meanwhile: less than 10 MB
EXPECTED
