"""Who leads by a quorum, and for how long: times, tenures, epochs (docs/explanation/quorum.md)."""
