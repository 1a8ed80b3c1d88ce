"""What type checkers know of FLoM's names, most of which are made at run time."""

from typing import Final

__all__ = [
    "FALSE",
    "FLOM_ES_GENERIC_ERROR",
    "FLOM_ES_OK",
    "FLOM_ES_REQUESTER_CANT_WAIT",
    "FLOM_ES_RESOURCE_BUSY",
    "FLOM_ES_UNABLE_TO_EXECUTE_COMMAND",
    "FLOM_HANDLE_STATE_CLEANED",
    "FLOM_HANDLE_STATE_CONNECTED",
    "FLOM_HANDLE_STATE_DISCONNECTED",
    "FLOM_HANDLE_STATE_INIT",
    "FLOM_HANDLE_STATE_LOCKED",
    "FLOM_LOCK_MODE_CR",
    "FLOM_LOCK_MODE_CW",
    "FLOM_LOCK_MODE_EX",
    "FLOM_LOCK_MODE_INVALID",
    "FLOM_LOCK_MODE_N",
    "FLOM_LOCK_MODE_NL",
    "FLOM_LOCK_MODE_PR",
    "FLOM_LOCK_MODE_PW",
    "FLOM_RC_ACCEPT_ERROR",
    "FLOM_RC_API_IMMUTABLE_HANDLE",
    "FLOM_RC_API_INVALID_SEQUENCE",
    "FLOM_RC_BIND_ERROR",
    "FLOM_RC_BUFFER_OVERFLOW",
    "FLOM_RC_CHDIR_ERROR",
    "FLOM_RC_CLOSEDIR_ERROR",
    "FLOM_RC_CLOSE_ERROR",
    "FLOM_RC_CONNECTION_CLOSED",
    "FLOM_RC_CONNECTION_CLOSED_BY_SERVER",
    "FLOM_RC_CONNECTION_REFUSED",
    "FLOM_RC_CONNECT_ERROR",
    "FLOM_RC_CONTAINER_FULL",
    "FLOM_RC_DAEMON_NOT_STARTED",
    "FLOM_RC_ELEMENT_NAME_NOT_AVAILABLE",
    "FLOM_RC_EXECVP_ERROR",
    "FLOM_RC_FCNTL_ERROR",
    "FLOM_RC_FLOCK_ERROR",
    "FLOM_RC_FORK_ERROR",
    "FLOM_RC_GETADDRINFO_ERROR",
    "FLOM_RC_GETIFADDRS_ERROR",
    "FLOM_RC_GETNAMEINFO_ERROR",
    "FLOM_RC_GETSOCKNAME_ERROR",
    "FLOM_RC_GETSOCKOPT_ERROR",
    "FLOM_RC_GETTIMEOFDAY_ERROR",
    "FLOM_RC_GET_FIELD_ID_ERROR",
    "FLOM_RC_GET_OBJECT_CLASS_ERROR",
    "FLOM_RC_G_ARRAY_NEW_ERROR",
    "FLOM_RC_G_BASE64_DECODE_ERROR",
    "FLOM_RC_G_BASE64_ENCODE_ERROR",
    "FLOM_RC_G_KEY_FILE_LOAD_FROM_FILE_ERROR",
    "FLOM_RC_G_KEY_FILE_NEW_ERROR",
    "FLOM_RC_G_MARKUP_PARSE_CONTEXT_NEW_ERROR",
    "FLOM_RC_G_MARKUP_PARSE_CONTEXT_PARSE_ERROR",
    "FLOM_RC_G_NODE_APPEND_DATA_ERROR",
    "FLOM_RC_G_NODE_NEW_ERROR",
    "FLOM_RC_G_NODE_PREPEND_DATA_ERROR",
    "FLOM_RC_G_PTR_ARRAY_REMOVE_INDEX_FAST_ERROR",
    "FLOM_RC_G_QUEUE_NEW_ERROR",
    "FLOM_RC_G_STRDUP_ERROR",
    "FLOM_RC_G_STRNDUP_ERROR",
    "FLOM_RC_G_STRSPLIT_ERROR",
    "FLOM_RC_G_THREAD_NEW_ERROR",
    "FLOM_RC_G_TRY_MALLOC_ERROR",
    "FLOM_RC_G_TRY_REALLOC_ERROR",
    "FLOM_RC_INACTIVE_FEATURE",
    "FLOM_RC_INET_NTOP_ERROR",
    "FLOM_RC_INTERNAL_ERROR",
    "FLOM_RC_INVALID_AI_FAMILY_ERROR",
    "FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE",
    "FLOM_RC_INVALID_IP_ADDRESS",
    "FLOM_RC_INVALID_MSG_LENGTH",
    "FLOM_RC_INVALID_OPTION",
    "FLOM_RC_INVALID_PREFIX_SIZE",
    "FLOM_RC_INVALID_PROPERTY_VALUE",
    "FLOM_RC_INVALID_RESOURCE_NAME",
    "FLOM_RC_INVALID_TIMESTAMP_FORMAT",
    "FLOM_RC_LISTEN_ERROR",
    "FLOM_RC_LOCALTIME_R_ERROR",
    "FLOM_RC_LOCK_BUSY",
    "FLOM_RC_LOCK_CANT_LOCK",
    "FLOM_RC_LOCK_CANT_WAIT",
    "FLOM_RC_LOCK_ENQUEUED",
    "FLOM_RC_LOCK_IMPOSSIBLE",
    "FLOM_RC_LOCK_WAIT_RESOURCE",
    "FLOM_RC_MALLOC_ERROR",
    "FLOM_RC_MSG_DESERIALIZE_ERROR",
    "FLOM_RC_NETWORK_EVENT_ERROR",
    "FLOM_RC_NETWORK_TIMEOUT",
    "FLOM_RC_NEW_DIRECT_BYTE_BUFFER_ERROR",
    "FLOM_RC_NEW_OBJ",
    "FLOM_RC_NO_CERTIFICATE",
    "FLOM_RC_NO_TLS_CONNECTION",
    "FLOM_RC_NULL_OBJECT",
    "FLOM_RC_OBJ_CORRUPTED",
    "FLOM_RC_OBJ_NOT_FOUND_ERROR",
    "FLOM_RC_OK",
    "FLOM_RC_OPENDIR_ERROR",
    "FLOM_RC_OPEN_ERROR",
    "FLOM_RC_OUT_OF_RANGE",
    "FLOM_RC_PIPE_ERROR",
    "FLOM_RC_POLL_ERROR",
    "FLOM_RC_PROTOCOL_ERROR",
    "FLOM_RC_PROTOCOL_LEVEL_MISMATCH",
    "FLOM_RC_READ_ERROR",
    "FLOM_RC_REALPATH_ERROR",
    "FLOM_RC_RECVFROM_ERROR",
    "FLOM_RC_RECV_ERROR",
    "FLOM_RC_REGCOMP_ERROR",
    "FLOM_RC_REGEXEC_ERROR",
    "FLOM_RC_RESOURCE_INIT_ERROR",
    "FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL",
    "FLOM_RC_SENDTO_ERROR",
    "FLOM_RC_SEND_ERROR",
    "FLOM_RC_SETSID_ERROR",
    "FLOM_RC_SETSOCKOPT_ERROR",
    "FLOM_RC_SIGACTION_ERROR",
    "FLOM_RC_SIGADDSET_ERROR",
    "FLOM_RC_SIGEMPTYSET_ERROR",
    "FLOM_RC_SIGNAL_ERROR",
    "FLOM_RC_SIGPROCMASK_ERROR",
    "FLOM_RC_SNPRINTF_ERROR",
    "FLOM_RC_SOCKET_ERROR",
    "FLOM_RC_SSL_ACCEPT_ERROR",
    "FLOM_RC_SSL_CONNECT_ERROR",
    "FLOM_RC_SSL_CTX_CHECK_PRIVATE_KEY_ERROR",
    "FLOM_RC_SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR",
    "FLOM_RC_SSL_CTX_NEW_ERROR",
    "FLOM_RC_SSL_CTX_USE_CERTIFICATE_FILE_ERROR",
    "FLOM_RC_SSL_CTX_USE_PRIVATEKEY_FILE_ERROR",
    "FLOM_RC_SSL_GET_VERIFY_RESULT_ERROR",
    "FLOM_RC_SSL_NEW_ERROR",
    "FLOM_RC_SSL_READ_ERROR",
    "FLOM_RC_SSL_SET_EX_DATA_ERROR",
    "FLOM_RC_SSL_SET_FD_ERROR",
    "FLOM_RC_SSL_WRITE_ERROR",
    "FLOM_RC_TLS_NO_VALID_METHOD",
    "FLOM_RC_UNIQUE_ID_DOES_NOT_MATCH",
    "FLOM_RC_UNLINK_ERROR",
    "FLOM_RC_WAIT_ERROR",
    "FLOM_RC_WRITE_ERROR",
    "TRUE",
    "flom_handle_clean",
    "flom_handle_delete",
    "flom_handle_get_discovery_attempts",
    "flom_handle_get_discovery_timeout",
    "flom_handle_get_discovery_ttl",
    "flom_handle_get_lock_mode",
    "flom_handle_get_locked_element",
    "flom_handle_get_multicast_address",
    "flom_handle_get_multicast_port",
    "flom_handle_get_network_interface",
    "flom_handle_get_resource_create",
    "flom_handle_get_resource_idle_lifespan",
    "flom_handle_get_resource_name",
    "flom_handle_get_resource_quantity",
    "flom_handle_get_resource_timeout",
    "flom_handle_get_socket_name",
    "flom_handle_get_tls_ca_certificate",
    "flom_handle_get_tls_certificate",
    "flom_handle_get_tls_check_peer_id",
    "flom_handle_get_tls_private_key",
    "flom_handle_get_trace_filename",
    "flom_handle_get_unicast_address",
    "flom_handle_get_unicast_port",
    "flom_handle_init",
    "flom_handle_lock",
    "flom_handle_new",
    "flom_handle_set_discovery_attempts",
    "flom_handle_set_discovery_timeout",
    "flom_handle_set_discovery_ttl",
    "flom_handle_set_lock_mode",
    "flom_handle_set_multicast_address",
    "flom_handle_set_multicast_port",
    "flom_handle_set_network_interface",
    "flom_handle_set_resource_create",
    "flom_handle_set_resource_idle_lifespan",
    "flom_handle_set_resource_name",
    "flom_handle_set_resource_quantity",
    "flom_handle_set_resource_timeout",
    "flom_handle_set_socket_name",
    "flom_handle_set_tls_ca_certificate",
    "flom_handle_set_tls_certificate",
    "flom_handle_set_tls_check_peer_id",
    "flom_handle_set_tls_private_key",
    "flom_handle_set_trace_filename",
    "flom_handle_set_unicast_address",
    "flom_handle_set_unicast_port",
    "flom_handle_t",
    "flom_handle_unlock",
    "flom_handle_unlock_rollback",
    "flom_strerror",
]

FLOM_LOCK_MODE_NL: Final = 0
FLOM_LOCK_MODE_CR: Final = 1
FLOM_LOCK_MODE_CW: Final = 2
FLOM_LOCK_MODE_PR: Final = 3
FLOM_LOCK_MODE_PW: Final = 4
FLOM_LOCK_MODE_EX: Final = 5
FLOM_LOCK_MODE_N: Final = 6
FLOM_LOCK_MODE_INVALID: Final = 7
FLOM_ES_OK: Final = 0
FLOM_ES_REQUESTER_CANT_WAIT: Final = 96
FLOM_ES_UNABLE_TO_EXECUTE_COMMAND: Final = 97
FLOM_ES_RESOURCE_BUSY: Final = 98
FLOM_ES_GENERIC_ERROR: Final = 99
TRUE: Final = 1
FALSE: Final = 0
FLOM_HANDLE_STATE_INIT: Final = 22
FLOM_HANDLE_STATE_CONNECTED: Final = 23
FLOM_HANDLE_STATE_LOCKED: Final = 24
FLOM_HANDLE_STATE_DISCONNECTED: Final = 25
FLOM_HANDLE_STATE_CLEANED: Final = 26
FLOM_RC_INACTIVE_FEATURE: Final = 13
FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL: Final = 12
FLOM_RC_API_IMMUTABLE_HANDLE: Final = 11
FLOM_RC_ELEMENT_NAME_NOT_AVAILABLE: Final = 10
FLOM_RC_NETWORK_TIMEOUT: Final = 9
FLOM_RC_CONNECTION_CLOSED: Final = 8
FLOM_RC_CONNECTION_REFUSED: Final = 7
FLOM_RC_LOCK_IMPOSSIBLE: Final = 6
FLOM_RC_LOCK_CANT_WAIT: Final = 5
FLOM_RC_LOCK_BUSY: Final = 4
FLOM_RC_LOCK_CANT_LOCK: Final = 3
FLOM_RC_LOCK_WAIT_RESOURCE: Final = 2
FLOM_RC_LOCK_ENQUEUED: Final = 1
FLOM_RC_OK: Final = 0
FLOM_RC_INTERNAL_ERROR: Final = -1
FLOM_RC_DAEMON_NOT_STARTED: Final = -2
FLOM_RC_NETWORK_EVENT_ERROR: Final = -3
FLOM_RC_NULL_OBJECT: Final = -4
FLOM_RC_INVALID_OPTION: Final = -5
FLOM_RC_OBJ_CORRUPTED: Final = -6
FLOM_RC_OUT_OF_RANGE: Final = -7
FLOM_RC_INVALID_PREFIX_SIZE: Final = -8
FLOM_RC_BUFFER_OVERFLOW: Final = -9
FLOM_RC_INVALID_MSG_LENGTH: Final = -10
FLOM_RC_INVALID_PROPERTY_VALUE: Final = -11
FLOM_RC_CONTAINER_FULL: Final = -12
FLOM_RC_PROTOCOL_ERROR: Final = -13
FLOM_RC_INVALID_RESOURCE_NAME: Final = -14
FLOM_RC_PROTOCOL_LEVEL_MISMATCH: Final = -15
FLOM_RC_MSG_DESERIALIZE_ERROR: Final = -16
FLOM_RC_API_INVALID_SEQUENCE: Final = -17
FLOM_RC_INVALID_AI_FAMILY_ERROR: Final = -18
FLOM_RC_INVALID_IP_ADDRESS: Final = -19
FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE: Final = -20
FLOM_RC_NEW_OBJ: Final = -21
FLOM_RC_NO_CERTIFICATE: Final = -22
FLOM_RC_UNIQUE_ID_DOES_NOT_MATCH: Final = -23
FLOM_RC_NO_TLS_CONNECTION: Final = -24
FLOM_RC_INVALID_TIMESTAMP_FORMAT: Final = -25
FLOM_RC_RESOURCE_INIT_ERROR: Final = -26
FLOM_RC_CONNECTION_CLOSED_BY_SERVER: Final = -27
FLOM_RC_OBJ_NOT_FOUND_ERROR: Final = -28
FLOM_RC_ACCEPT_ERROR: Final = -100
FLOM_RC_BIND_ERROR: Final = -101
FLOM_RC_CHDIR_ERROR: Final = -102
FLOM_RC_CLOSE_ERROR: Final = -103
FLOM_RC_CLOSEDIR_ERROR: Final = -104
FLOM_RC_CONNECT_ERROR: Final = -105
FLOM_RC_EXECVP_ERROR: Final = -106
FLOM_RC_FCNTL_ERROR: Final = -107
FLOM_RC_FLOCK_ERROR: Final = -108
FLOM_RC_FORK_ERROR: Final = -109
FLOM_RC_GETADDRINFO_ERROR: Final = -110
FLOM_RC_GETIFADDRS_ERROR: Final = -111
FLOM_RC_GETNAMEINFO_ERROR: Final = -112
FLOM_RC_GETSOCKNAME_ERROR: Final = -113
FLOM_RC_GETSOCKOPT_ERROR: Final = -114
FLOM_RC_GETTIMEOFDAY_ERROR: Final = -115
FLOM_RC_INET_NTOP_ERROR: Final = -116
FLOM_RC_LISTEN_ERROR: Final = -117
FLOM_RC_LOCALTIME_R_ERROR: Final = -118
FLOM_RC_MALLOC_ERROR: Final = -119
FLOM_RC_OPEN_ERROR: Final = -120
FLOM_RC_OPENDIR_ERROR: Final = -121
FLOM_RC_PIPE_ERROR: Final = -122
FLOM_RC_POLL_ERROR: Final = -123
FLOM_RC_READ_ERROR: Final = -124
FLOM_RC_REALPATH_ERROR: Final = -125
FLOM_RC_RECV_ERROR: Final = -126
FLOM_RC_RECVFROM_ERROR: Final = -127
FLOM_RC_REGCOMP_ERROR: Final = -128
FLOM_RC_REGEXEC_ERROR: Final = -129
FLOM_RC_SEND_ERROR: Final = -130
FLOM_RC_SENDTO_ERROR: Final = -131
FLOM_RC_SETSID_ERROR: Final = -132
FLOM_RC_SETSOCKOPT_ERROR: Final = -133
FLOM_RC_SIGACTION_ERROR: Final = -134
FLOM_RC_SIGADDSET_ERROR: Final = -135
FLOM_RC_SIGEMPTYSET_ERROR: Final = -136
FLOM_RC_SIGNAL_ERROR: Final = -137
FLOM_RC_SIGPROCMASK_ERROR: Final = -138
FLOM_RC_SOCKET_ERROR: Final = -139
FLOM_RC_SNPRINTF_ERROR: Final = -140
FLOM_RC_UNLINK_ERROR: Final = -141
FLOM_RC_WAIT_ERROR: Final = -142
FLOM_RC_WRITE_ERROR: Final = -143
FLOM_RC_G_ARRAY_NEW_ERROR: Final = -200
FLOM_RC_G_BASE64_DECODE_ERROR: Final = -201
FLOM_RC_G_BASE64_ENCODE_ERROR: Final = -202
FLOM_RC_G_KEY_FILE_LOAD_FROM_FILE_ERROR: Final = -203
FLOM_RC_G_KEY_FILE_NEW_ERROR: Final = -204
FLOM_RC_G_MARKUP_PARSE_CONTEXT_NEW_ERROR: Final = -205
FLOM_RC_G_MARKUP_PARSE_CONTEXT_PARSE_ERROR: Final = -206
FLOM_RC_G_NODE_APPEND_DATA_ERROR: Final = -207
FLOM_RC_G_NODE_NEW_ERROR: Final = -208
FLOM_RC_G_NODE_PREPEND_DATA_ERROR: Final = -209
FLOM_RC_G_PTR_ARRAY_REMOVE_INDEX_FAST_ERROR: Final = -210
FLOM_RC_G_QUEUE_NEW_ERROR: Final = -211
FLOM_RC_G_STRDUP_ERROR: Final = -212
FLOM_RC_G_STRNDUP_ERROR: Final = -213
FLOM_RC_G_STRSPLIT_ERROR: Final = -214
FLOM_RC_G_THREAD_NEW_ERROR: Final = -215
FLOM_RC_G_TRY_MALLOC_ERROR: Final = -216
FLOM_RC_G_TRY_REALLOC_ERROR: Final = -217
FLOM_RC_GET_FIELD_ID_ERROR: Final = -300
FLOM_RC_GET_OBJECT_CLASS_ERROR: Final = -301
FLOM_RC_NEW_DIRECT_BYTE_BUFFER_ERROR: Final = -302
FLOM_RC_SSL_CTX_CHECK_PRIVATE_KEY_ERROR: Final = -400
FLOM_RC_SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR: Final = -401
FLOM_RC_SSL_CTX_NEW_ERROR: Final = -402
FLOM_RC_SSL_CTX_USE_CERTIFICATE_FILE_ERROR: Final = -403
FLOM_RC_SSL_CTX_USE_PRIVATEKEY_FILE_ERROR: Final = -404
FLOM_RC_SSL_ACCEPT_ERROR: Final = -405
FLOM_RC_SSL_CONNECT_ERROR: Final = -406
FLOM_RC_SSL_GET_VERIFY_RESULT_ERROR: Final = -407
FLOM_RC_SSL_NEW_ERROR: Final = -408
FLOM_RC_SSL_READ_ERROR: Final = -409
FLOM_RC_SSL_SET_EX_DATA_ERROR: Final = -410
FLOM_RC_SSL_SET_FD_ERROR: Final = -411
FLOM_RC_SSL_WRITE_ERROR: Final = -412
FLOM_RC_TLS_NO_VALID_METHOD: Final = -413

class flom_handle_t:
    state: int
    conn: object
    config: object
    locked_element: str | None
    thisown: bool
    def __init__(self) -> None: ...

def flom_strerror(ret_cod: int) -> str: ...
def flom_handle_init(handle: flom_handle_t | None) -> int: ...
def flom_handle_new() -> flom_handle_t | None: ...
def flom_handle_clean(handle: flom_handle_t | None) -> int: ...
def flom_handle_delete(handle: flom_handle_t | None) -> None: ...
def flom_handle_lock(handle: flom_handle_t | None) -> int: ...
def flom_handle_unlock(handle: flom_handle_t | None) -> int: ...
def flom_handle_unlock_rollback(handle: flom_handle_t | None) -> int: ...
def flom_handle_get_locked_element(handle: flom_handle_t) -> str | None: ...
def flom_handle_get_discovery_attempts(handle: flom_handle_t) -> int: ...
def flom_handle_set_discovery_attempts(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_discovery_timeout(handle: flom_handle_t) -> int: ...
def flom_handle_set_discovery_timeout(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_discovery_ttl(handle: flom_handle_t) -> int: ...
def flom_handle_set_discovery_ttl(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_lock_mode(handle: flom_handle_t) -> int: ...
def flom_handle_set_lock_mode(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_multicast_address(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_multicast_address(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_multicast_port(handle: flom_handle_t) -> int: ...
def flom_handle_set_multicast_port(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_network_interface(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_network_interface(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_resource_create(handle: flom_handle_t) -> int: ...
def flom_handle_set_resource_create(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_resource_idle_lifespan(handle: flom_handle_t) -> int: ...
def flom_handle_set_resource_idle_lifespan(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_resource_name(handle: flom_handle_t) -> str: ...
def flom_handle_set_resource_name(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_resource_quantity(handle: flom_handle_t) -> int: ...
def flom_handle_set_resource_quantity(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_resource_timeout(handle: flom_handle_t) -> int: ...
def flom_handle_set_resource_timeout(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_socket_name(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_socket_name(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_tls_certificate(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_tls_certificate(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_tls_private_key(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_tls_private_key(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_tls_ca_certificate(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_tls_ca_certificate(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_tls_check_peer_id(handle: flom_handle_t) -> int: ...
def flom_handle_set_tls_check_peer_id(handle: flom_handle_t | None, value: int) -> int: ...
def flom_handle_get_trace_filename(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_trace_filename(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_unicast_address(handle: flom_handle_t) -> str | None: ...
def flom_handle_set_unicast_address(handle: flom_handle_t | None, value: str | None) -> int: ...
def flom_handle_get_unicast_port(handle: flom_handle_t) -> int: ...
def flom_handle_set_unicast_port(handle: flom_handle_t | None, value: int) -> int: ...
