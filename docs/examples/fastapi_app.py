"""
A FastAPI application that makes one report of a name at a time, on however many hosts and workers it runs.

Run it by C{uvicorn fastapi_app:app --workers 4}. A request for a report that is being made is answered with 409 at
once; C{wait=False} says so. With C{timeout=5} instead, it waits for up to 5 s, and is answered with 504 then. Have it
wait for some time at most: FastAPI does not end a request whose client has hung up.
"""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import flom.aio
from flom import DaemonLost, DaemonUnreachable, FlomError, LockBusy, LockTimeout

STATUSES = {LockBusy: 409, LockTimeout: 504, DaemonUnreachable: 503, DaemonLost: 503}

app = FastAPI()
locks = flom.aio.Client()


@app.exception_handler(FlomError)
async def explain(request: Request, error: FlomError) -> JSONResponse:
    status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)
    return JSONResponse({"detail": str(error)}, status)


@app.post("/reports/{name}")
async def make_report(name: str) -> dict[str, str]:
    async with locks.lock(f"/reports/{name}", wait=False) as held:
        await asyncio.sleep(0.01)  # makes it
        await held.check()  # before the step that must not be taken without the lock
        return {"report": name}
