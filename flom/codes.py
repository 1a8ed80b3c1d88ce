"""Numbers that FLoM's users and peers know: outcomes on the wire, exit statuses, and return codes with their texts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from enum import Enum as Enum
else:

    class _Listing(type):
        """The class of a listing: calling it with a value, or indexing it with a name, returns that constant."""

        def __new__(meta, name, bases, body):
            constants = {key: body.pop(key) for key in list(body) if key.isupper()}
            body["__repr__"] = lambda constant: f"<{name}.{constant.name}: {constant.value!r}>"  # before int's own
            listing = type.__new__(meta, name, bases, body)
            listing.__members__ = {}
            listing._by_value = {}
            for key, value in constants.items():
                constant = listing.__new__(listing, *(value if isinstance(value, tuple) else (value,)))
                constant.name = key
                constant.value = value[0] if isinstance(value, tuple) else value
                type.__setattr__(listing, key, constant)
                listing.__members__[key] = listing._by_value[constant.value] = constant
            return listing

        def __call__(cls, value):
            try:
                return cls._by_value[value]
            except (KeyError, TypeError):
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

        def __getitem__(cls, name):
            return cls.__members__[name]

        def __iter__(cls):
            return iter(cls.__members__.values())

        def __len__(cls):
            return len(cls.__members__)

    class Enum(metaclass=_Listing):
        """
        What the standard library's C{enum} is for C{class X(int, Enum)} or C{class X(str, Enum)}, as far as we use it.

        To make a class takes it a tenth of the time, which counts when flom-run starts, and the constants hash and
        compare as fast as what they are. To mypy it is the real one.
        """

        def __str__(self):
            return str(self.value)

        def __reduce__(self):
            return type(self), (self.value,)


class Outcome(int, Enum):
    """What became of a lock request, as C{rc} of an answer says (docs/compatibility.md, "Outcomes of a request")."""

    GRANTED = 0
    QUEUED = 1
    AWAITING_CREATION = 2
    BUSY = 4
    CANNOT_WAIT = 5
    IMPOSSIBLE = 6
    DEADLOCK = 20  # FLoM has no such thing: to wait would be to wait for oneself
    INVALID_NAME = -14
    # never answered: the daemon closes the connection instead (docs/compatibility.md, "Outcomes of a request")
    INVALID_TIMESTAMP_FORMAT = -25
    # nothing that a daemon says: it does not know what the request wishes, and has granted nothing
    UNSUPPORTED = -1000


class ExitStatus(int, Enum):
    """
    What C{flom-run} and C{flomctl fence} exit with when the command did not decide it
    (docs/compatibility.md, "Exit statuses"). L{flom.statuses} has the cases, and what to do.
    """

    OK = 0
    DEBUG_FAILED = 1  # a debug feature has failed, or is none
    NOT_KEPT = 90  # what was to be kept with the lock is not, or it is not known; the command has ended with 0
    NO_TOKEN = 91  # flomctl fence: there is no fencing token that could be checked
    ALREADY_DONE = 92  # with --once-per: it has been done well within the period
    DEADLOCK = 93  # to wait would be to wait for ever: for itself, for an outer command, or in a circle of sessions
    FENCED = 94  # flomctl fence: a later holder has a higher one
    LOST = 95  # the lock was lost, and the command was ended because of that, or has ended with 0
    CANNOT_WAIT = 96
    CANNOT_EXECUTE = 97
    BUSY = 98
    ERROR = 99

    @property
    def word(self) -> str:
        """A word or two for it, in lines for people and for programs."""
        return self.name.lower().replace("_", " ")


class ReturnCode(int, Enum):
    """
    What a function of FLoM's library returns, and what C{flom} prints as C{ret_cod=N}.

    From 1 on it is an outcome or a warning, below 0 an error. The text may name a C function that failed; this project
    uses the same code in the same situation, although it may call another function.
    """

    _text: str

    def __new__(cls, value: int, text: str = "") -> ReturnCode:
        code = int.__new__(cls, value)
        code._text = text
        return code

    @property
    def text(self) -> str:
        """The text that belongs to the code; for most functions, it follows from the name."""
        function = self.name.removesuffix("_ERROR").lower()
        return self._text or f"ERROR: '{function}' function returned an error condition"

    INACTIVE_FEATURE = 13, "WARNING: a feature is inactive and a piece of code was skipped"
    RESOURCE_IS_NOT_TRANSACTIONAL = (
        12,
        "WARNING: a transactional operations has been requested for a non transactional resource",
    )
    API_IMMUTABLE_HANDLE = 11, "WARNING: the handle can not be changed at this time"
    ELEMENT_NAME_NOT_AVAILABLE = 10, "WARNING: the name of the locked element is not available"
    NETWORK_TIMEOUT = 9, "WARNING: network operation timeout"
    CONNECTION_CLOSED = 8, "WARNING: peer has closed socket connection"
    CONNECTION_REFUSED = 7, "WARNING: peer is not ready to accept a connection"
    LOCK_IMPOSSIBLE = 6, "INFO: the lock can not be obtained because the resource will never satisfy the lock request"
    LOCK_CANT_WAIT = 5, "INFO: the lock can not be obtained because the requester can not wait resource availability"
    LOCK_BUSY = 4, "INFO: the lock can not be obtained because the resource is already locked"
    LOCK_CANT_LOCK = 3, "INFO: the lock can not be obtained, generic issue"
    LOCK_WAIT_RESOURCE = (
        2,
        "INFO: the asked resource is not available, the task must wait resource creation by a something else",
    )
    LOCK_ENQUEUED = 1, "INFO: the lock can not be obtained now, but the request was enqueued"
    OK = 0, "OK: no error"

    INTERNAL_ERROR = -1, "ERROR: internal error / unexpected condition / code bug"
    DAEMON_NOT_STARTED = -2, "ERROR: flom command was not able to start a new daemon and/or connect to it"
    NETWORK_EVENT_ERROR = -3, "ERROR: an unespected network event raised"
    NULL_OBJECT = -4, "ERROR: the object is null"
    INVALID_OPTION = -5, "ERROR: a specified option is not valid"
    OBJ_CORRUPTED = -6, "ERROR: object is corrupted"
    OUT_OF_RANGE = -7, "ERROR: an argument is out of range"
    INVALID_PREFIX_SIZE = -8, "ERROR: the number of chars of the prefix of the message is wrong"
    BUFFER_OVERFLOW = -9, "ERROR: the process has been stopped to avoid a buffer overflow"
    INVALID_MSG_LENGTH = -10, "ERROR: the length of the message differs from prefix"
    INVALID_PROPERTY_VALUE = -11, "ERROR: a value of a property is invalid"
    CONTAINER_FULL = -12, "ERROR: the container is full and cannot store more elements"
    PROTOCOL_ERROR = -13, "ERROR: client/server protocol error, an unexpected packet of data was received"
    INVALID_RESOURCE_NAME = -14, "ERROR: invalid name for a resource"
    PROTOCOL_LEVEL_MISMATCH = -15, "ERROR: client and server are not aligned to the same communication level"
    MSG_DESERIALIZE_ERROR = -16, "ERROR: XML message deserialization"
    API_INVALID_SEQUENCE = -17, "ERROR: API function called using an invalid sequence"
    INVALID_AI_FAMILY_ERROR = -18, "ERROR: address family is not a valid IP address family (AF_INET, AF_INET6)"
    INVALID_IP_ADDRESS = -19, "ERROR: the specified IP address is not valid for the current function"
    INVALID_IPV6_NETWORK_INTERFACE = -20, "ERROR: the specified network interface is not valid for IPv6 networking"
    NEW_OBJ = -21, "ERROR: creation of a new object in the heap failed"
    NO_CERTIFICATE = -22, "ERROR: the peer did not supply a valid certificate for a TLS/SSL connection"
    UNIQUE_ID_DOES_NOT_MATCH = (
        -23,
        "ERROR: the unique ID sent by the peer does not match the CN field inside the X.509 provided certificate",
    )
    NO_TLS_CONNECTION = -24, "ERROR: the connection is not a TLS connection, but a TLS operation was requested"
    INVALID_TIMESTAMP_FORMAT = -25, "ERROR: format not valid for a timestamp resource"
    RESOURCE_INIT_ERROR = -26, "ERROR: the resource can not be initialized"
    CONNECTION_CLOSED_BY_SERVER = -27, "ERROR: the server has unilaterally closed the connection"
    OBJ_NOT_FOUND_ERROR = -28, "ERROR: object not found"

    # of functions of the system
    ACCEPT_ERROR = -100
    BIND_ERROR = -101
    CHDIR_ERROR = -102
    CLOSE_ERROR = -103
    CLOSEDIR_ERROR = -104
    CONNECT_ERROR = -105
    EXECVP_ERROR = -106
    FCNTL_ERROR = -107
    FLOCK_ERROR = -108
    FORK_ERROR = -109
    GETADDRINFO_ERROR = -110
    GETIFADDRS_ERROR = -111
    GETNAMEINFO_ERROR = -112
    GETSOCKNAME_ERROR = -113
    GETSOCKOPT_ERROR = -114
    GETTIMEOFDAY_ERROR = -115
    INET_NTOP_ERROR = -116
    LISTEN_ERROR = -117
    LOCALTIME_R_ERROR = -118
    MALLOC_ERROR = -119, "ERROR: 'malloc'/'g_malloc' function returned an error condition"
    OPEN_ERROR = -120
    OPENDIR_ERROR = -121
    PIPE_ERROR = -122
    POLL_ERROR = -123
    READ_ERROR = -124
    REALPATH_ERROR = -125
    RECV_ERROR = -126
    RECVFROM_ERROR = -127
    REGCOMP_ERROR = -128
    REGEXEC_ERROR = -129
    SEND_ERROR = -130
    SENDTO_ERROR = -131
    SETSID_ERROR = -132
    SETSOCKOPT_ERROR = -133
    SIGACTION_ERROR = -134
    SIGADDSET_ERROR = -135
    SIGEMPTYSET_ERROR = -136
    SIGNAL_ERROR = -137
    SIGPROCMASK_ERROR = -138
    SOCKET_ERROR = -139
    SNPRINTF_ERROR = (
        -140,
        "ERROR: 'snprintf' function was not able to write the complete content due to insufficient buffer space",
    )
    UNLINK_ERROR = -141
    WAIT_ERROR = -142
    WRITE_ERROR = -143

    # of functions of GLib
    G_ARRAY_NEW_ERROR = -200
    G_BASE64_DECODE_ERROR = -201
    G_BASE64_ENCODE_ERROR = -202
    G_KEY_FILE_LOAD_FROM_FILE_ERROR = -203
    G_KEY_FILE_NEW_ERROR = -204
    G_MARKUP_PARSE_CONTEXT_NEW_ERROR = -205
    G_MARKUP_PARSE_CONTEXT_PARSE_ERROR = -206
    G_NODE_APPEND_DATA_ERROR = -207
    G_NODE_NEW_ERROR = -208
    G_NODE_PREPEND_DATA_ERROR = -209
    G_PTR_ARRAY_REMOVE_INDEX_FAST_ERROR = -210
    G_QUEUE_NEW_ERROR = -211
    G_STRDUP_ERROR = -212
    G_STRNDUP_ERROR = -213
    G_STRSPLIT_ERROR = -214
    G_THREAD_NEW_ERROR = -215
    G_TRY_MALLOC_ERROR = -216, "ERROR: 'g_try_malloc'/'g_try_malloc0' function returned an error condition"
    G_TRY_REALLOC_ERROR = -217

    # of FLoM's binding to Java
    GET_FIELD_ID_ERROR = -300, "ERROR: 'JNI GetFieldID' function returned NULL pointer"
    GET_OBJECT_CLASS_ERROR = -301, "ERROR: 'JNI GetObjectClass' function returned NULL pointer"
    NEW_DIRECT_BYTE_BUFFER_ERROR = -302, "ERROR: 'JNI NewDirectByteBuffer' function returned NULL pointer"

    # of OpenSSL
    SSL_CTX_CHECK_PRIVATE_KEY_ERROR = -400, "ERROR: 'OpenSSL SSL_CTX_check_private_key' function returned an error"
    SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR = (
        -401,
        "ERROR: 'OpenSSL SSL_CTX_load_verify_locations' function returned an error",
    )
    SSL_CTX_NEW_ERROR = -402, "ERROR: 'OpenSSL SSL_CTX_new' function returned an error"
    SSL_CTX_USE_CERTIFICATE_FILE_ERROR = (
        -403,
        "ERROR: 'OpenSSL SSL_CTX_use_certificate_file' function returned an error",
    )
    SSL_CTX_USE_PRIVATEKEY_FILE_ERROR = -404, "ERROR: 'OpenSSL SSL_CTX_use_PrivateKey_file' function returned an error"
    SSL_ACCEPT_ERROR = -405, "ERROR: unknown error"
    SSL_CONNECT_ERROR = -406, "ERROR: 'OpenSSL SSL_connect' function returned an error"
    SSL_GET_VERIFY_RESULT_ERROR = -407, "ERROR: 'OpenSSL SSL_get_verify_result' function returned an error"
    SSL_NEW_ERROR = -408, "ERROR: 'OpenSSL SSL_new' function returned an error"
    SSL_READ_ERROR = -409, "ERROR: 'OpenSSL SSL_read' function returned an error"
    SSL_SET_EX_DATA_ERROR = -410, "ERROR: 'OpenSSL SSL_set_ex_data' function returned an error"
    SSL_SET_FD_ERROR = -411, "ERROR: 'OpenSSL SSL_set_fd' function returned an error"
    SSL_WRITE_ERROR = -412, "ERROR: 'OpenSSL SSL_write' function returned an error"
    TLS_NO_VALID_METHOD = -413, "ERROR: no valid TLS/SSL method was found"
