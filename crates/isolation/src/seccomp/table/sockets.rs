//! Calls that make sockets: a list of what is let through, because families are many and little used.

use libc::{AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, NETLINK_ROUTE, SOCK_DGRAM, SOCK_STREAM};

use super::super::profile::SeccompProfile::{Mvp, Strict};
use super::super::rule::{Clause, Comparison, Entry, deny_if};

const UNIX: u32 = AF_UNIX.cast_unsigned();
const INET: u32 = AF_INET.cast_unsigned();
const INET6: u32 = AF_INET6.cast_unsigned();
const NETLINK: u32 = AF_NETLINK.cast_unsigned();

/// The protocols of the internet families that programs use; the first one stands for the usual one of the type.
const PROTOCOLS: &[u32] = &[
    libc::IPPROTO_IP.cast_unsigned(),
    libc::IPPROTO_ICMP.cast_unsigned(),
    libc::IPPROTO_TCP.cast_unsigned(),
    libc::IPPROTO_UDP.cast_unsigned(),
    libc::IPPROTO_ICMPV6.cast_unsigned(),
];

// From `linux/tcp.h` and `linux/socket.h`; the libc crate does not have them on each C library.
const SOL_TCP: u32 = 6;
const TCP_ULP: u32 = 31;

/// The bits of the type argument that hold the type; the others are flags (`SOCK_TYPE_MASK` in the kernel).
const TYPE: u32 = 0xf;

pub(super) const ENTRIES: &[Entry] = &[
    deny_if(
        "socket",
        libc::SYS_socket,
        Mvp,
        &[
            Clause {
                meaning: "families other than AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK",
                comparisons: &[Comparison::none_of(0, &[UNIX, INET, INET6, NETLINK])],
            },
            Clause {
                meaning: "AF_NETLINK with a protocol other than NETLINK_ROUTE",
                comparisons: &[
                    Comparison::one_of(0, &[NETLINK]),
                    Comparison::none_of(2, &[NETLINK_ROUTE.cast_unsigned()]),
                ],
            },
            // For old programs the kernel turns AF_INET with SOCK_PACKET into a packet socket. SOCK_SEQPACKET is SCTP.
            Clause {
                meaning: "AF_INET and AF_INET6 with types other than SOCK_STREAM and SOCK_DGRAM",
                comparisons: &[
                    Comparison::one_of(0, &[INET, INET6]),
                    Comparison::none_of(1, &[SOCK_STREAM.cast_unsigned(), SOCK_DGRAM.cast_unsigned()])
                        .masked(TYPE),
                ],
            },
            // For any of them the kernel looks for a module to load before it asks who wants it.
            Clause {
                meaning: "AF_INET and AF_INET6 with protocols other than ICMP, TCP and UDP",
                comparisons: &[Comparison::one_of(0, &[INET, INET6]), Comparison::none_of(2, PROTOCOLS)],
            },
        ],
    )
    .because(
        "vsock reaches the hypervisor, packet and raw sockets forge traffic, and rare families and protocols \
         (alg, key, tipc, nf_tables by netlink, sctp, l2tp, smc) are a row of escalations",
    )
    .missed_by(
        "ping with raw sockets, tcpdump, iptables, ss, Bluetooth and CAN tools, SCTP and MPTCP servers (those of Go \
         fall back to TCP); getifaddrs(3) works",
    ),
    deny_if(
        "socketpair",
        libc::SYS_socketpair,
        Mvp,
        &[Clause { meaning: "families other than AF_UNIX", comparisons: &[Comparison::none_of(0, &[UNIX])] }],
    )
    .because("makes sockets as socket does; besides AF_UNIX only AF_TIPC has pairs")
    .missed_by("TIPC programs"),
    deny_if(
        "setsockopt",
        libc::SYS_setsockopt,
        Strict,
        &[Clause {
            meaning: "TCP_ULP",
            comparisons: &[Comparison::one_of(1, &[SOL_TCP]), Comparison::one_of(2, &[TCP_ULP])],
        }],
    )
    .because(
        "TCP_ULP puts the kernel's TLS or another protocol under a connection, which was exploited (CVE-2023-0461)",
    )
    .missed_by("OpenSSL and nginx where kernel TLS is turned on; they do without"),
];
