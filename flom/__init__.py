"""FLoM, the Free Lock Manager, on Twisted: runs commands under locks, on one host or many."""

__version__ = "0.1.0"
