"""
Leadership by a quorum: etcd decides which daemon leads, and keeps what must not be lost (docs/explanation/quorum.md).

Only a daemon with C{--quorum} imports what is here: it needs the extra C{txflom[etcd]}.
"""
