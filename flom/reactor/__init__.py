"""
What subclasses Twisted deeply or uses private names of it, so that a change in Twisted is mended here.

tests/reactor/test_private_names.py lists each of those names, and fails by name when Twisted moves it.
"""
