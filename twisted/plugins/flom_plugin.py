"""Tells twistd about us; strings only, so that listing its commands imports nothing of ours."""

from twisted.application.service import ServiceMaker

flom = ServiceMaker("FLoM daemon", "flom.tap", "Grant locks to commands on many hosts.", "flom")
