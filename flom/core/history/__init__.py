"""
Histories of locks, as commands have written them, and whether what they tell can have been
(docs/reference/history.md).
"""
