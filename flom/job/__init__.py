"""
What a command under a lock is, for every program that runs one: its words and environment, statuses and messages
(docs/compatibility.md, "Commands under a lock").
"""
