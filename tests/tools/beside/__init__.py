"""
What other programs that run a command under a lock do under faults, found out by running them
(docs/explanation/quorum.md).
"""
