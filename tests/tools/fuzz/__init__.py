"""Inputs that no client should send, and which locks are held meanwhile."""
