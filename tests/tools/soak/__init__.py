"""Mixed load for a long time: C{make soak}."""
