"""The core decides: plain calls and values, no I/O; it imports neither Twisted nor time nor socket."""
