"""
How fast the daemon and C{flom-run} are, beside what Twisted itself could do: C{make bench}.

C{python -m tests.tools.bench NAME...} runs some of the measurements only; C{--help} lists them. A table is printed, all
numbers go to a JSON file, and what misses its limit is named at the end, one line each, with exit status 1. A ratio
says more than its two rates: these are of the machine, and of whatever else it does.

With C{--vs DIR}, another checkout is measured beside this one; where the environment variable FLOM_PEER names a folder
with another C{flom}, so is that. All of them take turns, round by round, each with a daemon of its own.

What is where:

  - C{load.c} is the load generator, a process with one thread. Each client locks, waits for the grant, unlocks (by a
    C{send} of its own, as FLoM's client does) and locks again; each has a peer id of its own. It is in C because one
    in Python would be slower than what it measures. Python gives it the messages, made by L{flom.core.protocol.wire}.
  - C{control.py} is what the daemon is measured against: bare Twisted that answers constant bytes. I{Strict}, it grants
    every lock at once by one answer. Where clients wait for each other, a daemon needs two, and cannot grant the next
    lock before it has heard of the last: there the limit is judged by the one named I{hand-over}, which answers with
    constant bytes too, but twice, and keeps a bare queue. Both ratios are shown.
  - C{patterns.py}: grants a second and latency, from sending the lock to the grant, for patterns of locking, numbers of
    clients, and transports. Daemon and control take turns, a round each, and are compared round by round, because the
    machine may be slower in one than in the next: the ratio is the median of theirs. The rest of a row is the sum of
    all rounds' grants and seconds, the median of their percentiles, and the server's CPU time divided by the grants.
    Connecting, and what precedes the first answer to the last client, is not measured, except by C{churn}.
  - C{scaling.py}: how it grows with waiters and resources; memory; connections all at once; fairness.
  - C{builds.py}: what is measured beside each other, and how it takes turns.
  - C{startup.py}: the rows of start-up, end and hand-over, with their limits; C{scene.py}: where their commands run.
  - C{snapshot.py}: how long a snapshot of what the daemon holds makes a grant wait.

Over TCP the generator binds its clients to 127.0.0.1 to 127.0.0.16 in turn: C{churn} leaves connections in TIME_WAIT,
and one pair of addresses has ports for 28,000 of them only.
"""
