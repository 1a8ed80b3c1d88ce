"""
FLoM's library for Python, name for name, for programs that were written for it
(docs/compatibility.md, "Client library", docs/reference/libflom.md).
"""

from flom.libflom.calls import (
    flom_handle_clean,
    flom_handle_delete,
    flom_handle_get_locked_element,
    flom_handle_init,
    flom_handle_lock,
    flom_handle_new,
    flom_handle_unlock,
    flom_handle_unlock_rollback,
    flom_strerror,
)
from flom.libflom.constants import *  # noqa: F403
from flom.libflom.handle import flom_handle_t
from flom.libflom.properties import *  # noqa: F403

# written out, because type checkers cannot compute it
# fmt: off
__all__ = [  # noqa: F405
    "FALSE", "FLOM_ES_GENERIC_ERROR", "FLOM_ES_OK", "FLOM_ES_REQUESTER_CANT_WAIT", "FLOM_ES_RESOURCE_BUSY",
    "FLOM_ES_UNABLE_TO_EXECUTE_COMMAND", "FLOM_HANDLE_STATE_CLEANED", "FLOM_HANDLE_STATE_CONNECTED",
    "FLOM_HANDLE_STATE_DISCONNECTED", "FLOM_HANDLE_STATE_INIT", "FLOM_HANDLE_STATE_LOCKED", "FLOM_LOCK_MODE_CR",
    "FLOM_LOCK_MODE_CW", "FLOM_LOCK_MODE_EX", "FLOM_LOCK_MODE_INVALID", "FLOM_LOCK_MODE_N", "FLOM_LOCK_MODE_NL",
    "FLOM_LOCK_MODE_PR", "FLOM_LOCK_MODE_PW", "FLOM_RC_ACCEPT_ERROR", "FLOM_RC_API_IMMUTABLE_HANDLE",
    "FLOM_RC_API_INVALID_SEQUENCE", "FLOM_RC_BIND_ERROR", "FLOM_RC_BUFFER_OVERFLOW", "FLOM_RC_CHDIR_ERROR",
    "FLOM_RC_CLOSEDIR_ERROR", "FLOM_RC_CLOSE_ERROR", "FLOM_RC_CONNECTION_CLOSED", "FLOM_RC_CONNECTION_CLOSED_BY_SERVER",
    "FLOM_RC_CONNECTION_REFUSED", "FLOM_RC_CONNECT_ERROR", "FLOM_RC_CONTAINER_FULL", "FLOM_RC_DAEMON_NOT_STARTED",
    "FLOM_RC_ELEMENT_NAME_NOT_AVAILABLE", "FLOM_RC_EXECVP_ERROR", "FLOM_RC_FCNTL_ERROR", "FLOM_RC_FLOCK_ERROR",
    "FLOM_RC_FORK_ERROR", "FLOM_RC_GETADDRINFO_ERROR", "FLOM_RC_GETIFADDRS_ERROR", "FLOM_RC_GETNAMEINFO_ERROR",
    "FLOM_RC_GETSOCKNAME_ERROR", "FLOM_RC_GETSOCKOPT_ERROR", "FLOM_RC_GETTIMEOFDAY_ERROR", "FLOM_RC_GET_FIELD_ID_ERROR",
    "FLOM_RC_GET_OBJECT_CLASS_ERROR", "FLOM_RC_G_ARRAY_NEW_ERROR", "FLOM_RC_G_BASE64_DECODE_ERROR",
    "FLOM_RC_G_BASE64_ENCODE_ERROR", "FLOM_RC_G_KEY_FILE_LOAD_FROM_FILE_ERROR", "FLOM_RC_G_KEY_FILE_NEW_ERROR",
    "FLOM_RC_G_MARKUP_PARSE_CONTEXT_NEW_ERROR", "FLOM_RC_G_MARKUP_PARSE_CONTEXT_PARSE_ERROR",
    "FLOM_RC_G_NODE_APPEND_DATA_ERROR", "FLOM_RC_G_NODE_NEW_ERROR", "FLOM_RC_G_NODE_PREPEND_DATA_ERROR",
    "FLOM_RC_G_PTR_ARRAY_REMOVE_INDEX_FAST_ERROR", "FLOM_RC_G_QUEUE_NEW_ERROR", "FLOM_RC_G_STRDUP_ERROR",
    "FLOM_RC_G_STRNDUP_ERROR", "FLOM_RC_G_STRSPLIT_ERROR", "FLOM_RC_G_THREAD_NEW_ERROR", "FLOM_RC_G_TRY_MALLOC_ERROR",
    "FLOM_RC_G_TRY_REALLOC_ERROR", "FLOM_RC_INACTIVE_FEATURE", "FLOM_RC_INET_NTOP_ERROR", "FLOM_RC_INTERNAL_ERROR",
    "FLOM_RC_INVALID_AI_FAMILY_ERROR", "FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE", "FLOM_RC_INVALID_IP_ADDRESS",
    "FLOM_RC_INVALID_MSG_LENGTH", "FLOM_RC_INVALID_OPTION", "FLOM_RC_INVALID_PREFIX_SIZE",
    "FLOM_RC_INVALID_PROPERTY_VALUE", "FLOM_RC_INVALID_RESOURCE_NAME", "FLOM_RC_INVALID_TIMESTAMP_FORMAT",
    "FLOM_RC_LISTEN_ERROR", "FLOM_RC_LOCALTIME_R_ERROR", "FLOM_RC_LOCK_BUSY", "FLOM_RC_LOCK_CANT_LOCK",
    "FLOM_RC_LOCK_CANT_WAIT", "FLOM_RC_LOCK_ENQUEUED", "FLOM_RC_LOCK_IMPOSSIBLE", "FLOM_RC_LOCK_WAIT_RESOURCE",
    "FLOM_RC_MALLOC_ERROR", "FLOM_RC_MSG_DESERIALIZE_ERROR", "FLOM_RC_NETWORK_EVENT_ERROR", "FLOM_RC_NETWORK_TIMEOUT",
    "FLOM_RC_NEW_DIRECT_BYTE_BUFFER_ERROR", "FLOM_RC_NEW_OBJ", "FLOM_RC_NO_CERTIFICATE", "FLOM_RC_NO_TLS_CONNECTION",
    "FLOM_RC_NULL_OBJECT", "FLOM_RC_OBJ_CORRUPTED", "FLOM_RC_OBJ_NOT_FOUND_ERROR", "FLOM_RC_OK",
    "FLOM_RC_OPENDIR_ERROR", "FLOM_RC_OPEN_ERROR", "FLOM_RC_OUT_OF_RANGE", "FLOM_RC_PIPE_ERROR", "FLOM_RC_POLL_ERROR",
    "FLOM_RC_PROTOCOL_ERROR", "FLOM_RC_PROTOCOL_LEVEL_MISMATCH", "FLOM_RC_READ_ERROR", "FLOM_RC_REALPATH_ERROR",
    "FLOM_RC_RECVFROM_ERROR", "FLOM_RC_RECV_ERROR", "FLOM_RC_REGCOMP_ERROR", "FLOM_RC_REGEXEC_ERROR",
    "FLOM_RC_RESOURCE_INIT_ERROR", "FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL", "FLOM_RC_SENDTO_ERROR",
    "FLOM_RC_SEND_ERROR", "FLOM_RC_SETSID_ERROR", "FLOM_RC_SETSOCKOPT_ERROR", "FLOM_RC_SIGACTION_ERROR",
    "FLOM_RC_SIGADDSET_ERROR", "FLOM_RC_SIGEMPTYSET_ERROR", "FLOM_RC_SIGNAL_ERROR", "FLOM_RC_SIGPROCMASK_ERROR",
    "FLOM_RC_SNPRINTF_ERROR", "FLOM_RC_SOCKET_ERROR", "FLOM_RC_SSL_ACCEPT_ERROR", "FLOM_RC_SSL_CONNECT_ERROR",
    "FLOM_RC_SSL_CTX_CHECK_PRIVATE_KEY_ERROR", "FLOM_RC_SSL_CTX_LOAD_VERIFY_LOCATIONS_ERROR",
    "FLOM_RC_SSL_CTX_NEW_ERROR", "FLOM_RC_SSL_CTX_USE_CERTIFICATE_FILE_ERROR",
    "FLOM_RC_SSL_CTX_USE_PRIVATEKEY_FILE_ERROR", "FLOM_RC_SSL_GET_VERIFY_RESULT_ERROR", "FLOM_RC_SSL_NEW_ERROR",
    "FLOM_RC_SSL_READ_ERROR", "FLOM_RC_SSL_SET_EX_DATA_ERROR", "FLOM_RC_SSL_SET_FD_ERROR", "FLOM_RC_SSL_WRITE_ERROR",
    "FLOM_RC_TLS_NO_VALID_METHOD", "FLOM_RC_UNIQUE_ID_DOES_NOT_MATCH", "FLOM_RC_UNLINK_ERROR", "FLOM_RC_WAIT_ERROR",
    "FLOM_RC_WRITE_ERROR", "TRUE", "flom_handle_clean", "flom_handle_delete", "flom_handle_get_discovery_attempts",
    "flom_handle_get_discovery_timeout", "flom_handle_get_discovery_ttl", "flom_handle_get_lock_mode",
    "flom_handle_get_locked_element", "flom_handle_get_multicast_address", "flom_handle_get_multicast_port",
    "flom_handle_get_network_interface", "flom_handle_get_resource_create", "flom_handle_get_resource_idle_lifespan",
    "flom_handle_get_resource_name", "flom_handle_get_resource_quantity", "flom_handle_get_resource_timeout",
    "flom_handle_get_socket_name", "flom_handle_get_tls_ca_certificate", "flom_handle_get_tls_certificate",
    "flom_handle_get_tls_check_peer_id", "flom_handle_get_tls_private_key", "flom_handle_get_trace_filename",
    "flom_handle_get_unicast_address", "flom_handle_get_unicast_port", "flom_handle_init", "flom_handle_lock",
    "flom_handle_new", "flom_handle_set_discovery_attempts", "flom_handle_set_discovery_timeout",
    "flom_handle_set_discovery_ttl", "flom_handle_set_lock_mode", "flom_handle_set_multicast_address",
    "flom_handle_set_multicast_port", "flom_handle_set_network_interface", "flom_handle_set_resource_create",
    "flom_handle_set_resource_idle_lifespan", "flom_handle_set_resource_name", "flom_handle_set_resource_quantity",
    "flom_handle_set_resource_timeout", "flom_handle_set_socket_name", "flom_handle_set_tls_ca_certificate",
    "flom_handle_set_tls_certificate", "flom_handle_set_tls_check_peer_id", "flom_handle_set_tls_private_key",
    "flom_handle_set_trace_filename", "flom_handle_set_unicast_address", "flom_handle_set_unicast_port",
    "flom_handle_t", "flom_handle_unlock", "flom_handle_unlock_rollback", "flom_strerror",
]
# fmt: on
