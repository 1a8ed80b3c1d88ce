"""How long a command under a lock takes, as the table of docs/explanation/performance.md has it."""

import matplotlib.pyplot as plt
from tables import number, read_table

ROWS = [row for row in read_table("explanation/performance.md", "Row", "This version") if row[1].split()[1] == "ms"]
SHOWN = [row for row in ROWS if row[0].startswith("startup-") and row[3]]

figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
places = range(len(SHOWN))
axis.barh([place - 0.2 for place in places], [number(row[1]) for row in SHOWN], 0.4, label="this version")
axis.barh([place + 0.2 for place in places], [number(row[3]) for row in SHOWN], 0.4, label="0.1.0")
axis.set_yticks(places, [row[0] for row in SHOWN])
axis.invert_yaxis()
axis.set_xlabel("ms")
axis.grid(alpha=0.3, axis="x")
axis.legend()
