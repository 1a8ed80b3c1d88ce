"""
The daemon carries the core's decisions out.

For other programs: L{flom.server.arbiter.DeferredArbiter} grants locks in this process, and
L{flom.server.service.build_daemon} makes a service by which others have them too, on any endpoints.
"""
