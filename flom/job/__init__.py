"""
What a command under a lock is, for every program that runs one: its words and environment, the statuses, and what is
said of errors (docs/compatibility.md, "Commands under a lock").
"""
