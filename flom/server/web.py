"""What a daemon holds, for browsers, Prometheus and load balancers."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Site

from flom.server.arbiter import DeferredArbiter
from flom.server.status import Census


def web_service(reactor: Any, endpoint: IStreamServerEndpoint, arbiter: DeferredArbiter, census: Census) -> IService:
    """Make a service that shows what C{arbiter} holds to whoever connects to C{endpoint}."""
    return StreamServerEndpointService(endpoint, Site(Resource()))
