//! Where metadata may lead: a server must not have us ask what only this machine or this network can
//! reach (MCP 2026-07-28, security best practices, server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// Where metadata of one server may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The internet.
    Public,
    /// This network, too: the server itself is in it.
    Network,
    /// This machine, too: the server itself is on it.
    Machine,
}

impl Reach {
    /// As far as a URL itself leads, judging by its text.
    pub(super) fn of(url: &Url) -> Self {
        let Some(host) = url.host_str() else { return Self::Public };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => needed(address).unwrap_or(Self::Public),
            Err(_) if host == "localhost" || host.ends_with(".localhost") => Self::Machine,
            Err(_) => Self::Public,
        }
    }

    /// Whether a URL may be asked, judging by its text.
    pub(super) fn admits(self, url: &Url) -> bool {
        let literal = url.host_str().map(|host| host.trim_matches(['[', ']']));
        let literal = literal.and_then(|host| host.parse().ok());
        literal.is_none_or(|address| self.covers(address))
    }

    fn covers(self, address: IpAddr) -> bool {
        needed(address).is_some_and(|needed| needed <= self)
    }
}

/// How far one has to reach for an address; nobody reaches some.
fn needed(address: IpAddr) -> Option<Reach> {
    match address {
        IpAddr::V4(address) => needed_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => needed_v4(inner),
            None => needed_v6(address),
        },
    }
}

fn needed_v4(address: Ipv4Addr) -> Option<Reach> {
    let [a, b, ..] = address.octets();
    if address.is_loopback() {
        return Some(Reach::Machine);
    }
    if address.is_private() || (a == 100 && (64..128).contains(&b)) {
        return Some(Reach::Network);
    }
    let reserved = a == 0 || a >= 224 || address.is_link_local() || address.is_documentation();
    let benchmarks = a == 198 && (18..20).contains(&b);
    (!reserved && !benchmarks).then_some(Reach::Public)
}

fn needed_v6(address: Ipv6Addr) -> Option<Reach> {
    if address.is_loopback() {
        return Some(Reach::Machine);
    }
    match address.segments()[0] {
        first if first & 0xfe00 == 0xfc00 => Some(Reach::Network),
        // Everything global is in here; link-local, multicast and unspecified are not.
        first if first & 0xe000 == 0x2000 && first != 0x2002 => Some(Reach::Public),
        _ => None,
    }
}

/// An IPv4 address in one of the coats that it wears in IPv6: mapped, or behind a translator.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let parts = address.segments();
    let translated = parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let [.., a, b] = parts;
    let behind = Ipv4Addr::from((u32::from(a) << 16) | u32::from(b));
    address.to_ipv4_mapped().or(translated.then_some(behind))
}

/// Looks names up, and leaves out the addresses that are not to be reached: what is checked is what
/// is connected to.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> =
                found.filter(|address| reach.covers(address.ip())).collect();
            if admitted.is_empty() {
                return Err("its name leads into a network that the server is not in".into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inside_is_reached_from_outside() {
        let url = |text: &str| Url::parse(text).unwrap();
        let public = Reach::of(&url("https://mcp.example/mcp"));
        assert_eq!(public, Reach::Public);
        for inside in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://10.0.0.9/",
            "http://192.168.1.1/",
            "http://169.254.169.254/",
            "http://0.0.0.0/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://100.64.0.1/",
            "http://[2002:7f00:1::]/",
            "http://2130706433/",
            "http://[::]/",
        ] {
            assert!(!public.admits(&url(inside)), "{inside}");
        }
        assert!(public.admits(&url("https://93.184.216.34/")));
        assert!(public.admits(&url("https://[2606:4700::1111]/")));
        let machine = Reach::of(&url("http://localhost:8000/mcp"));
        assert!(machine.admits(&url("http://127.0.0.1:9000/token")));
        assert!(!machine.admits(&url("http://169.254.169.254/")));
        let network = Reach::of(&url("http://10.0.0.9/mcp"));
        assert!(
            network.admits(&url("http://10.0.0.10/")) && !network.admits(&url("http://[::1]/"))
        );
    }
}
