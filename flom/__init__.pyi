from flom import aio as aio
from flom.client.blocking.lock import lock as lock
from flom.client.blocking.several import lock_all as lock_all
from flom.core.several import part as part
from flom.errors import (
    AlreadyDone as AlreadyDone,
)
from flom.errors import (
    CannotWait as CannotWait,
)
from flom.errors import (
    Closed as Closed,
)
from flom.errors import (
    ConfigError as ConfigError,
)
from flom.errors import (
    DaemonLost as DaemonLost,
)
from flom.errors import (
    DaemonUnreachable as DaemonUnreachable,
)
from flom.errors import (
    FlomError as FlomError,
)
from flom.errors import (
    InvalidName as InvalidName,
)
from flom.errors import (
    InvalidRequest as InvalidRequest,
)
from flom.errors import (
    LocalProtocolError as LocalProtocolError,
)
from flom.errors import (
    LockBusy as LockBusy,
)
from flom.errors import (
    LockContested as LockContested,
)
from flom.errors import (
    LockDeadlock as LockDeadlock,
)
from flom.errors import (
    LockImpossible as LockImpossible,
)
from flom.errors import (
    LockOverdue as LockOverdue,
)
from flom.errors import (
    LockRefused as LockRefused,
)
from flom.errors import (
    LockRevoked as LockRevoked,
)
from flom.errors import (
    LockTimeout as LockTimeout,
)
from flom.errors import (
    Misuse as Misuse,
)
from flom.errors import (
    NoProcess as NoProcess,
)
from flom.errors import (
    ProtocolError as ProtocolError,
)
from flom.errors import (
    RemoteProtocolError as RemoteProtocolError,
)
from flom.errors import (
    StandingBy as StandingBy,
)
from flom.errors import (
    TlsError as TlsError,
)
from flom.errors import (
    Unsupported as Unsupported,
)
from flom.errors import (
    ValueNotKept as ValueNotKept,
)
from flom.libflom import *  # noqa: F403
from flom.libflom import __all__ as __all__

__version__: str
