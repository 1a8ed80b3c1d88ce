# Completion of flom-run for fish. Written by make share.

function __flom_resources -d 'Names of the resources of the daemon that the words before name, if it answers soon'
    set -l words (commandline -opc)
    set -l place
    while set -q words[2]
        if contains -- $words[1] -s -a -p -A -P -n -c --socket-name --unicast-address --unicast-port --multicast-address --multicast-port --network-interface --group --interface --config-file
            set -a place $words[1] $words[2]
        end
        set -e words[1]
    end
    timeout 2 flomctl status $place 2>/dev/null | sed -e '1,/^RESOURCE/d' -e 's/[[:blank:]].*//' | sort -u
end

function __flom_run_command -d 'The command and its arguments; status 1 before there is one'
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    argparse -s r/resource-name= adopt= type= l/lock-mode= q/resource-quantity= timeout= o/resource-timeout= e/resource-create= i/resource-idle-lifespan= nested= max-hold= lock-delay= notify-wanted= s/socket-name= a/unicast-address= p/unicast-port= A/multicast-address= P/multicast-port= n/network-interface= c/config-file= shell= on-lost= kill-after= E/conflict-exit-code= Q/quiet V/verbose ignore-signal= history= status-file= close keep-place once-per= key= skip-ok value= read-value 'h/help=?' v/version show-config signal-list unique-id x/quiesce-exit X/immediate-exit debug-feature= d/daemon-lifespan= allow-remote-shutdown allow-local-shutdown m/mount-point-vfs= tls-certificate= tls-private-key= tls-ca-certificate= tls-check-peer-id= D/discovery-attempts= I/discovery-timeout= discovery-ttl= tcp-keepalive-time= tcp-keepalive-intvl= tcp-keepalive-probes= heartbeat= leader-timeout= election-time= group-key= group-key-required max-connections= max-connections-per-peer= max-waiters= max-resources= max-locks-per-connection= max-overtaking= max-message-size= message-timeout= unread-timeout= session-timeout= sessions= T/command-trace-file= t/daemon-trace-file= append-trace-file= -- $words 2>/dev/null
    if test -n "$argv[1]"; and not string match -qr '^-' -- $argv[1]
        string join0 -- $argv
        return 0
    end
    return 1
end

function __flom_run_complete_command
    set -l words (__flom_run_command | string split0)
    __fish_complete_subcommand --commandline $words
end

complete -c flom-run -x -n '__flom_run_command >/dev/null' -a '(__flom_run_complete_command)'
complete -c flom-run -x -n 'not __flom_run_command >/dev/null' -a '(__fish_complete_command)'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s r -l resource-name -xa '(__flom_resources)' -d 'name of the resource to lock'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l adopt -x -d 'run it under a hold: what flomctl hold has printed'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l type -xa 'simple numeric set hierarchical sequence timestamp' -d 'simple, numeric, set, hierarchical, sequence or timestamp: refuse a resource of another type'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s l -l lock-mode -xa 'NL CR CW PR PW EX' -d 'NL, CR, CW, PR, PW or EX, for simple and hierarchical resources'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s q -l resource-quantity -x -d 'units to take of a numeric resource'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l timeout -x -d 'seconds to wait at most: 0.5, 2m; 0: do not wait'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s o -l resource-timeout -x -d 'milliseconds, or 5s, 2m, to wait for the lock at most; -1: no limit, 0: do not wait'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s e -l resource-create -xa 'yes no' -d 'yes or no: whether to create a resource that does not exist'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s i -l resource-idle-lifespan -x -d 'milliseconds to remember the resource while no client uses it, if this creates it'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l nested -xa 'refuse share wait' -d 'refuse, share or wait: what to do about a lock that a flom-run holds that this one runs under'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-hold -x -d 'seconds, or 10m, for which the lock may be held: then the daemon ends it; 0: any'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l lock-delay -x -d 'seconds, or 2m, for which no client is granted the lock if it is lost; by default, as the daemon says'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l notify-wanted -xa 'HUP INT QUIT USR1 USR2 ALRM TERM CONT TSTP WINCH' -d 'signal that the command gets when others begin to wait because of its lock, or fd:N, fd: a line to read from its descriptor N, or that of FLOM_WANTED_FD'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s s -l socket-name -rF -d 'UNIX socket of the daemon; default: /tmp/flom-LOGIN'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s a -l unicast-address -xa '(__fish_print_hostnames)' -d 'host of the daemon, a name or an address; h1,h2,h3: the one of these that leads by a quorum'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s p -l unicast-port -x -d 'TCP port of the daemon'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s A -l multicast-address -x -d 'multicast group, IPv4 or IPv6, in which the daemon is found, or elected if there is none'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s P -l multicast-port -x -d 'UDP port of the group'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s n -l network-interface -xa '(__fish_print_interfaces)' -d 'network interface for the group or for a link-local IPv6 address; with it, -a looks up IPv6 only'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s c -l config-file -rF -d 'a configuration file, read last'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l shell -x -d 'a command line for /bin/sh, instead of COMMAND'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l on-lost -xa 'warn terminate kill signal:' -d 'what the command gets if its lock is lost: warn, terminate, kill or signal:NAME; by default warn, under a quorum terminate'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l kill-after -x -d 'seconds from the SIGTERM of --on-lost terminate to SIGKILL; by default 2.5 at most'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s E -l conflict-exit-code -x -d 'status if the resource is locked, or the timeout has run out; with 0, nothing is said'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s Q -l quiet -f -d 'write nothing about the lock: the status says how it went'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s V -l verbose -f -d 'print what is waited for, and at the end how it went; with flom, the configuration instead of the latter'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l ignore-signal -xa 'HUP INT QUIT USR1 USR2 ALRM TERM CONT TSTP WINCH' -d 'a signal, by name or number, that is not passed on to the command; may be repeated'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l history -rF -d 'file to append events of lock and command to, for flomctl check'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l status-file -rF -d 'file to write to, as one line of JSON, how it went and whose the status is'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l close -f -d 'do not pass the connection on to the command: the lock ends with this program, if that is killed'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l keep-place -f -d 'stay in the queue while this program is stopped (Ctrl-Z); a lock may be granted to it then'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l once-per -x -d 'do not run it if a host has finished it well within PERIOD: 12h, 90m'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l key -x -d 'which job --once-per means, if the resource has several'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l skip-ok -f -d 'exit with 0, not 92, and say nothing, where --once-per runs nothing'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l value -x -d 'the resource'\''s value from now on, if the command ends with 0'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l read-value -f -d 'tell the command the resource'\''s value, in FLOM_VALUE'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s h -l help -f -d 'show the options that most users need, and end'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -a --help=all -d 'show all options, and end'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s v -l version -f -d 'show the version'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l show-config -f -d 'print the configuration that files, environment and options make'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l signal-list -f -d 'list the signals'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l unique-id -f -d 'show the unique id that this host sends to daemons'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s x -l quiesce-exit -f -d 'end the daemon as soon as no client needs it'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s X -l immediate-exit -f -d 'end the daemon at once'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l debug-feature -xa 'ipv6.multicast.server ipv6.multicast.client tls.server tls.client' -d 'try ipv6.multicast.server, ipv6.multicast.client, tls.server or tls.client'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s d -l daemon-lifespan -x -d 'idle milliseconds after which the daemon ends; -1: never, 0: start none'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l allow-remote-shutdown -f -d 'let every client that can connect end the daemon'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l allow-local-shutdown -f -d 'let every user of the daemon'\''s host end it over TCP'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s m -l mount-point-vfs -xa '(__fish_complete_directories)' -d 'empty directory where the daemon shows what it holds, as a file system'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tls-certificate -rF -d 'PEM file with our certificate; TLS is used if all three files are given'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tls-private-key -rF -d 'PEM file with its private key'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tls-ca-certificate -rF -d 'PEM file with the certificate of the authority that must have signed the peer'\''s'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tls-check-peer-id -xa 'yes no' -d 'yes or no: whether the peer'\''s unique id must be the common name of its certificate'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s D -l discovery-attempts -x -d 'how often to ask the group'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s I -l discovery-timeout -x -d 'milliseconds to wait for an answer, each time'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l discovery-ttl -x -d 'IP TTL of datagrams; 1: no router passes them on'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tcp-keepalive-time -x -d 'seconds of silence before a TCP peer is probed'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tcp-keepalive-intvl -x -d 'seconds between probes'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l tcp-keepalive-probes -x -d 'unanswered probes after which the peer is considered dead'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l heartbeat -x -d 'milliseconds between two announcements of a group'\''s leader'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l leader-timeout -x -d 'milliseconds of silence after which the leader is considered dead'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l election-time -x -d 'milliseconds without an objection after which a candidate leads'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l group-key -rF -d 'file with a secret that the daemons and clients of a group share; without it, none can pose as one'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l group-key-required -f -d 'do not believe FLoM'\''s daemons and clients either, which have no key'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-connections -x -d 'connections in all, beyond which the daemon closes new ones; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-connections-per-peer -x -d 'the same for one IP address, or one user over UNIX sockets; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-waiters -x -d 'waiters for one resource, beyond which requests are refused instead of queued; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-resources -x -d 'resources, beyond which no other is created; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-locks-per-connection -x -d 'locks of one connection, beyond which it gets no other; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-overtaking -x -d 'later requests that may go before one for several locks, beyond which they wait for it; 0: no limit'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l max-message-size -x -d 'bytes of the longest message that the daemon accepts'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l message-timeout -x -d 'milliseconds that a client has for its first message, and to end one that it has begun'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l unread-timeout -x -d 'milliseconds after which a client is disconnected that does not read its answers'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l session-timeout -x -d 'milliseconds for which locks are kept whose connection is broken, or daemon killed; 0: not at all'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l sessions -xa 'optional required' -d 'required: a TCP connection that ends without a goodbye, as by a proxy, keeps its locks; optional: not'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s T -l command-trace-file -rF -d 'file for the trace of this command'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -s t -l daemon-trace-file -rF -d 'file for the trace of the daemon; FLOM_TRACE_MASK selects what is traced'
complete -c flom-run -n 'not __flom_run_command >/dev/null' -l append-trace-file -xa 'yes no' -d 'yes or no: whether to add to trace files instead of replacing them'
