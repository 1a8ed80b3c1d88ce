"""Grants per second by the number of clients, as the table of docs/explanation/performance.md has them."""

import matplotlib.pyplot as plt
from tables import number, read_table

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for axis, title in zip(axes, ("UNIX", "TCP"), strict=True):
    all_rows = read_table("explanation/performance.md", f"{title}: pattern", "clients")
    for pattern in dict.fromkeys(row[0] for row in all_rows):
        rows = [row for row in all_rows if row[0] == pattern]
        axis.plot([number(row[1]) for row in rows], [number(row[2]) for row in rows], marker="o", label=pattern)
    axis.set(xscale="log", xlabel="clients", title=title, ylim=(0, None))
    axis.grid(alpha=0.3)
axes[0].set_ylabel("grants per second")
axes[1].legend()
