"""Every setting, said in every way: the table by which the tests of settings and of parsers go."""

from __future__ import annotations

from typing import Any, NamedTuple

from flom.core.modes import LockMode


class Row(NamedTuple):
    """One setting, said in every way; an empty C{text} is for a flag."""

    field: str
    short: str
    long: str
    text: str
    value: Any
    place: str
    in_file: str
    shown: str

    @property
    def group(self) -> str:
        return self.place.partition("/")[0]

    @property
    def key(self) -> str:
        return self.place.partition("/")[2]


ROWS = [
    Row("daemon_trace_file", "t", "daemon-trace-file", "a", "a", "Trace/DaemonTraceFile", "a", "'a'"),
    Row("command_trace_file", "T", "command-trace-file", "a", "a", "Trace/CommandTraceFile", "a", "'a'"),
    Row("append_trace_file", "", "append-trace-file", "yes", True, "Trace/AppendTraceFile", "Y", "1"),
    Row("verbose", "V", "verbose", "", True, "Trace/Verbose", "yes", "1"),
    Row("resource_name", "r", "resource-name", "R1", "R1", "Resource/Name", "R1", "'R1'"),
    Row("timeout_ms", "o", "resource-timeout", "0x10", 16, "Resource/Timeout", "16", "16"),
    Row("quantity", "q", "resource-quantity", "3", 3, "Resource/Quantity", "-3", "3"),
    Row("lock_mode", "l", "lock-mode", "pr", LockMode.PR, "Resource/LockMode", "PR", "3"),
    Row("create", "e", "resource-create", "no", False, "Resource/Create", "n", "0"),
    Row("idle_lifespan_ms", "i", "resource-idle-lifespan", "700", 700, "Resource/IdleLifespan", "-700", "700"),
    Row("socket_name", "s", "socket-name", "/a/b", "/a/b", "Daemon/SocketName", "/a/b", "'/a/b'"),
    Row("lifespan_ms", "d", "daemon-lifespan", "-1", -1, "Daemon/Lifespan", "-1", "-1"),
    Row("unicast_address", "a", "unicast-address", "::1", "::1", "Daemon/UnicastAddress", "::1", "'::1'"),
    Row("unicast_port", "p", "unicast-port", "010", 10, "Daemon/UnicastPort", "-10", "10"),
    Row(
        "multicast_address",
        "A",
        "multicast-address",
        "ff02::1",
        "ff02::1",
        "Daemon/MulticastAddress",
        "ff02::1",
        "'ff02::1'",
    ),
    Row("multicast_port", "P", "multicast-port", "010", 10, "Daemon/MulticastPort", "-10", "10"),
    Row("mount_point", "m", "mount-point-vfs", "/", "/", "Daemon/MountPointVFS", "/", "'/'"),
    Row("ignored_signals", "", "ignore-signal", "SIGTERM", (15,), "Monitor/IgnoredSignals", "15", "'SIGTERM'"),
    Row("network_interface", "n", "network-interface", "lo", "lo", "Network/NetworkInterface", "lo", "'lo'"),
    Row("discovery_attempts", "D", "discovery-attempts", "3", 3, "Network/DiscoveryAttempts", "3", "3"),
    Row("discovery_timeout_ms", "I", "discovery-timeout", "0x10", 16, "Network/DiscoveryTimeout", "16", "16"),
    Row("discovery_ttl", "", "discovery-ttl", "255", 255, "Network/DiscoveryTTL", "-255", "255"),
    Row("keepalive_time", "", "tcp-keepalive-time", "61", 61, "Network/TcpKeepaliveTime", "61", "61"),
    Row("keepalive_interval", "", "tcp-keepalive-intvl", "11", 11, "Network/TcpKeepaliveIntvl", "-11", "11"),
    Row("keepalive_probes", "", "tcp-keepalive-probes", "7", 7, "Network/TcpKeepaliveProbes", "7", "7"),
    Row("tls_certificate", "", "tls-certificate", "/etc/../", "/", "TLS/TlsCertificate", "/", "'/'"),
    Row("tls_private_key", "", "tls-private-key", "/etc/../", "/", "TLS/TlsPrivateKey", "/", "'/'"),
    Row("tls_ca_certificate", "", "tls-ca-certificate", "/etc/../", "/", "TLS/TlsCaCertificate", "/", "'/'"),
    Row("tls_check_peer_id", "", "tls-check-peer-id", "Yes", True, "TLS/TlsCheckPeerId", "y", "1"),
    Row("close", "", "close", "", True, "Command/Close", "yes", "1"),
    Row("keep_place", "", "keep-place", "", True, "Command/KeepPlace", "yes", "1"),
    Row("allow_remote_shutdown", "", "allow-remote-shutdown", "", True, "Daemon/AllowRemoteShutdown", "yes", "1"),
    Row("allow_local_shutdown", "", "allow-local-shutdown", "", True, "Daemon/AllowLocalShutdown", "yes", "1"),
    Row("heartbeat_ms", "", "heartbeat", "300", 300, "Daemon/Heartbeat", "300", "300"),
    Row("leader_timeout_ms", "", "leader-timeout", "0x1000", 4096, "Daemon/LeaderTimeout", "4096", "4096"),
    Row("election_time_ms", "", "election-time", "700", 700, "Daemon/ElectionTime", "700", "700"),
    Row("group_key", "", "group-key", "a", "a", "Daemon/GroupKey", "a", "'a'"),
    Row("group_key_required", "", "group-key-required", "", True, "Daemon/GroupKeyRequired", "yes", "1"),
    Row("max_connections", "", "max-connections", "0", 0, "Limits/MaxConnections", "0", "0"),
    Row("max_connections_per_peer", "", "max-connections-per-peer", "7", 7, "Limits/MaxConnectionsPerPeer", "7", "7"),
    Row("max_waiters", "", "max-waiters", "7", 7, "Limits/MaxWaiters", "7", "7"),
    Row("max_resources", "", "max-resources", "7", 7, "Limits/MaxResources", "7", "7"),
    Row("max_locks_per_connection", "", "max-locks-per-connection", "7", 7, "Limits/MaxLocksPerConnection", "7", "7"),
    Row("max_overtaking", "", "max-overtaking", "7", 7, "Limits/MaxOvertaking", "7", "7"),
    Row("max_message_size", "", "max-message-size", "65536", 65536, "Limits/MaxMessageSize", "65536", "65536"),
    Row("message_timeout_ms", "", "message-timeout", "700", 700, "Limits/MessageTimeout", "700", "700"),
    Row("unread_timeout_ms", "", "unread-timeout", "700", 700, "Limits/UnreadTimeout", "700", "700"),
    Row("session_timeout_ms", "", "session-timeout", "700", 700, "Limits/SessionTimeout", "700", "700"),
    Row("sessions", "", "sessions", "required", "required", "Limits/Sessions", "required", "'required'"),
    Row("conflict_exit_code", "E", "conflict-exit-code", "7", 7, "Command/ConflictExitCode", "7", "7"),
    Row("on_lost", "", "on-lost", "signal:usr1", "signal:usr1", "Command/OnLost", "signal:usr1", "'signal:usr1'"),
    Row("kill_after_ms", "", "kill-after", "0.7", 700, "Command/KillAfter", "700", "700"),
    Row("history", "", "history", "a", "a", "Command/History", "a", "'a'"),
    Row("status_file", "", "status-file", "a", "a", "Command/StatusFile", "a", "'a'"),
    Row("quiet", "Q", "quiet", "", True, "Command/Quiet", "yes", "1"),
    Row("resource_type", "", "type", "set", "set", "Resource/Type", "set", "'set'"),
    Row("nested", "", "nested", "share", "share", "Resource/Nested", "share", "'share'"),
    Row("max_hold_ms", "", "max-hold", "0.7", 700, "Resource/MaxHold", "700", "700"),
    Row("lock_delay_ms", "", "lock-delay", "2m", 120_000, "Resource/LockDelay", "120000", "120000"),
    Row("notify_wanted", "", "notify-wanted", "fd:3", "fd:3", "Command/NotifyWanted", "fd:3", "'fd:3'"),
]

INTEGERS = [
    row for row in ROWS if type(row.value) is int and row.field not in ("kill_after_ms", "max_hold_ms", "lock_delay_ms")
]  # whose option is in seconds
