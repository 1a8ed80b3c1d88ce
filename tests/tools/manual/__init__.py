"""
What is written from the tables of options: man pages, completion, and parts of the reference.

C{make share} writes it; tests/manual/ checks that what is committed is what would be written now.
"""
