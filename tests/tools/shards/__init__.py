"""
What one group would be if many of its daemons led, each some of the resources, under one quorum: a simulation of what
is planned nowhere yet (docs/explanation/shards.md).
"""
