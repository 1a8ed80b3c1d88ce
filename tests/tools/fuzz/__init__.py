"""Inputs that nobody should send, and who holds what meanwhile."""
