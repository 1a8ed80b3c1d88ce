"""The server carries out what the core decides: effects become bytes, Deferreds and timers."""
