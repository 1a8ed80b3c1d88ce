"""Grants per second by the number of clients, as the table of docs/explanation/performance.md has them."""

import matplotlib.pyplot as plt
from tables import number, read_table

ROWS = read_table("explanation/performance.md", "pattern", "clients")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for column, (axis, title) in enumerate(zip(axes, ("UNIX", "TCP"), strict=True)):
    for pattern in dict.fromkeys(row[0] for row in ROWS):
        rows = [row for row in ROWS if row[0] == pattern]
        grants = [number(row[2 + 4 * column]) for row in rows]
        axis.plot([number(row[1]) for row in rows], grants, marker="o", label=pattern)
    axis.set(xscale="log", xlabel="clients", title=title, ylim=(0, None))
    axis.grid(alpha=0.3)
axes[0].set_ylabel("grants per second")
axes[1].legend()
