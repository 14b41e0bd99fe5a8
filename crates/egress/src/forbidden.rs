//! The places nothing is sent to unless the deployment lists them: two tables and their look-ups.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Why `address` is forbidden, or `None` for a public one.
pub(crate) fn address(address: IpAddr) -> Option<&'static str> {
    NETWORKS
        .iter()
        .find(|(network, _)| network.contains(&address))
        .map(|(_, reason)| *reason)
}

/// Why `port` is forbidden, or `None` for one where a web server may listen.
pub(crate) fn port(port: u16) -> Option<&'static str> {
    if port < FIRST_USER_PORT && port != HTTPS_PORT {
        return Some("a system port other than 443");
    }
    PORTS
        .iter()
        .find(|(number, _)| *number == port)
        .map(|(_, service)| *service)
}

const HTTPS_PORT: u16 = 443;

/// RFC 6335 §6: the ports below are system ports.
const FIRST_USER_PORT: u16 = 1024;

/// Requirement 56. From the IANA special-purpose registries (RFC 6890); the first match names the
/// reason. IPv6 is refused outside 2000::/3, the only global unicast space handed out (RFC 4291 §2.4).
static NETWORKS: [(IpNet, &str); 36] = [
    (v4([0, 0, 0, 0], 8), "this network, RFC 1122 §3.2.1.3"),
    (v4([10, 0, 0, 0], 8), "private, RFC 1918"),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT, RFC 6598"),
    (v4([127, 0, 0, 0], 8), "loopback, RFC 1122 §3.2.1.3"),
    (
        v4([168, 63, 129, 16], 32),
        "the host agent of a public cloud (Azure WireServer)",
    ),
    (v4([169, 254, 0, 0], 16), "link-local, RFC 3927"),
    (v4([172, 16, 0, 0], 12), "private, RFC 1918"),
    (v4([192, 0, 0, 0], 24), "protocol assignments, RFC 6890"),
    (v4([192, 0, 2, 0], 24), "documentation, RFC 5737"),
    (v4([192, 31, 196, 0], 24), "AS112 sink, RFC 7535"),
    (v4([192, 52, 193, 0], 24), "multicast tunnels, RFC 7450"),
    (v4([192, 88, 99, 0], 24), "6to4 relay, RFC 7526"),
    (v4([192, 168, 0, 0], 16), "private, RFC 1918"),
    (v4([192, 175, 48, 0], 24), "AS112 sink, RFC 7534"),
    (v4([198, 18, 0, 0], 15), "benchmarking, RFC 2544"),
    (v4([198, 51, 100, 0], 24), "documentation, RFC 5737"),
    (v4([203, 0, 113, 0], 24), "documentation, RFC 5737"),
    (v4([224, 0, 0, 0], 4), "multicast, RFC 5771"),
    (
        v4([240, 0, 0, 0], 4),
        "reserved and broadcast, RFC 1112 §4, RFC 919",
    ),
    (v6([0; 8], 128), "unspecified, RFC 4291 §2.5.2"),
    (
        v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
        "loopback, RFC 4291 §2.5.3",
    ),
    (
        v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        "IPv4-mapped, RFC 4291 §2.5.5.2",
    ),
    (
        v6([0; 8], 96),
        "IPv4-compatible, RFC 4291 §2.5.5.1 (deprecated)",
    ),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64, RFC 6052"),
    (
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        "local NAT64, RFC 8215",
    ),
    (
        v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
        "discard-only, RFC 6666",
    ),
    (v6([0; 8], 3), "not global unicast, RFC 4291 §2.4"),
    (
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
        "protocol assignments: Teredo, ORCHID, benchmarking, RFC 2928",
    ),
    (
        v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "documentation, RFC 3849",
    ),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4, RFC 3056"),
    (
        v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        "documentation, RFC 9637",
    ),
    (
        v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        "unique local, RFC 4193",
    ),
    (
        v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        "link-local, RFC 4291 §2.5.6",
    ),
    (
        v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
        "multicast, RFC 4291 §2.7",
    ),
    (
        v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2),
        "not global unicast, RFC 4291 §2.4",
    ),
    (
        v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1),
        "not global unicast, RFC 4291 §2.4",
    ),
];

/// Requirement 63. Services at user ports that must never see a request of ours: they run
/// unauthenticated inside many networks, or act on lines of text, as an HTTP request is.
static PORTS: [(u16, &str); 46] = [
    (1433, "Microsoft SQL Server"),
    (1521, "Oracle Database"),
    (1720, "H.323"),
    (1723, "PPTP"),
    (1883, "MQTT"),
    (2049, "NFS"),
    (2181, "ZooKeeper"),
    (2375, "Docker"),
    (2376, "Docker"),
    (2377, "Docker Swarm"),
    (2379, "etcd"),
    (2380, "etcd"),
    (3306, "MySQL"),
    (3389, "RDP"),
    (4369, "Erlang port mapper"),
    (5060, "SIP"),
    (5061, "SIP"),
    (5432, "PostgreSQL"),
    (5672, "AMQP"),
    (5900, "VNC"),
    (5984, "CouchDB"),
    (5985, "WinRM"),
    (5986, "WinRM"),
    (6000, "X11"),
    (6379, "Redis"),
    (6443, "Kubernetes API"),
    (6667, "IRC"),
    (6697, "IRC"),
    (8300, "Consul"),
    (8500, "Consul"),
    (8501, "Consul"),
    (9000, "ClickHouse, FastCGI"),
    (9042, "Cassandra"),
    (9092, "Kafka"),
    (9100, "printers"),
    (9200, "Elasticsearch"),
    (9300, "Elasticsearch"),
    (10250, "kubelet"),
    (10255, "kubelet"),
    (11211, "memcached"),
    (15672, "RabbitMQ"),
    (26379, "Redis Sentinel"),
    (27017, "MongoDB"),
    (27018, "MongoDB"),
    (27019, "MongoDB"),
    (50070, "HDFS"),
];

const fn v4(address: [u8; 4], prefix: u8) -> IpNet {
    let [a, b, c, d] = address;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6(address: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = address;
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(a, b, c, d, e, f, g, h),
        prefix,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_forbidden_range_is_refused_from_its_first_address_to_its_last() {
        for (network, reason) in &NETWORKS {
            for edge in [network.network(), network.broadcast()] {
                assert!(address(edge).is_some(), "{edge} of {network} ({reason})");
            }
            assert_eq!(
                network.addr(),
                network.network(),
                "{network} has host bits set"
            );
        }
    }

    /// Requirement 56, its own list, spelt out once more: this test fails when a row is lost.
    #[test]
    fn requirement_56_is_covered() {
        for range in [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "0.0.0.0/8",
            "192.0.0.0/24",
            "198.18.0.0/15",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
            "ff00::/8",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "2002::/16",
        ] {
            let range: IpNet = range.parse().unwrap();
            assert!(address(range.network()).is_some(), "{range}");
            assert!(address(range.broadcast()).is_some(), "{range}");
        }
    }

    #[test]
    fn the_neighbours_of_forbidden_ranges_are_public() {
        for neighbour in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2003::",
            "2606:4700::1111",
            "3ffe:ffff::",
        ] {
            assert_eq!(address(neighbour.parse().unwrap()), None, "{neighbour}");
        }
    }

    #[test]
    fn only_web_ports_are_open() {
        for (number, open) in [
            (443, true),
            (8443, true),
            (1024, true),
            (3000, true),
            (8080, true),
            (65535, true),
            (0, false),
            (22, false),
            (25, false),
            (53, false),
            (80, false),
            (1023, false),
            (2375, false),
            (3306, false),
            (5432, false),
            (6379, false),
            (9200, false),
            (11211, false),
            (27017, false),
        ] {
            assert_eq!(port(number).is_none(), open, "{number}");
        }
    }

    proptest! {
        /// Whatever the table says, the standard library's own notion of private is never let through.
        #[test]
        fn nothing_private_to_the_standard_library_is_public(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            if ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
                || ip.is_broadcast() || ip.is_documentation() || ip.is_unspecified()
            {
                prop_assert!(address(ip.into()).is_some());
            }
        }

        #[test]
        fn no_ipv6_outside_the_global_unicast_space_is_public(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            if ip.segments()[0] >> 13 != 1 {
                prop_assert!(address(ip.into()).is_some());
            }
        }
    }
}
