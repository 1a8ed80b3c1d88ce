"""The client finds a daemon and speaks with it."""
