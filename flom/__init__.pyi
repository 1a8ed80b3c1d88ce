from flom.client.blocking.lock import lock as lock
from flom.libflom import *  # noqa: F403
from flom.libflom import __all__ as __all__

__version__: str
