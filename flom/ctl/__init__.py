"""C{flomctl}: looking after daemons, seeing what they hold, and certificates for them."""

from flom.ctl.main import main, run
from flom.ctl.output import BAD_USAGE, FAILED

__all__ = ["BAD_USAGE", "FAILED", "main", "run"]
