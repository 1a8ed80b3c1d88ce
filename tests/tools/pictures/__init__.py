"""Pictures of the README and the documentation, made from a daemon that really holds what they show."""
