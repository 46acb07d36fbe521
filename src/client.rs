//! Where a request comes from: the one resolver behind limits, allowlists and audit rows.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// Of a user agent, no more than this many characters are kept.
pub const AGENT_CHARS: usize = 200;

/// What a client says it is, as it is sent.
pub fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The same as it may be kept: without control characters, and not all of it if it says much.
pub fn kept_agent(sent: &str) -> String {
    sent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS).collect()
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose forwarding headers count.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// A request's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Known(IpAddr),
    /// A trusted proxy passed something on that is no address. What it stands for cannot be known.
    Unknown {
        peer: IpAddr,
    },
}

impl Client {
    /// For limits and logs: whoever cannot be known is known by who passed them on.
    pub fn nearest(self) -> IpAddr {
        match self {
            Self::Known(address) | Self::Unknown { peer: address } => address,
        }
    }

    /// For allowlists: only what is known.
    pub fn known(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unknown { .. } => None,
        }
    }
}

impl TrustedProxies {
    /// Addresses and blocks, separated by commas. Errors: a sentence that says what to do.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| {
                part.parse::<IpNet>()
                    .or_else(|_| part.parse::<IpAddr>().map(|address| address.to_canonical().into()))
                    .map_err(|_| format!("{part:?} is no address or block, as in 127.0.0.1 or 10.0.0.0/8"))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The socket's peer, unless that is a trusted proxy: then from right to left through `X-Forwarded-For` to the first
    /// hop that is not one. What stands left of that hop was written by it, and counts for nothing.
    pub fn resolve(&self, peer: SocketAddr, headers: &HeaderMap) -> Client {
        let peer = peer.ip().to_canonical();
        let mut nearest = peer;
        if !self.trusts(peer) {
            return Client::Known(peer);
        }
        // Several header lines are one list.
        for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            let Ok(line) = line.to_str() else { return Client::Unknown { peer: nearest } };
            for hop in line.rsplit(',') {
                let Some(address) = address(hop.trim()) else { return Client::Unknown { peer: nearest } };
                if !self.trusts(address) {
                    return Client::Known(address);
                }
                nearest = address;
            }
        }
        Client::Known(nearest)
    }
}

/// An address as proxies write it, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bracketed)
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn resolve(trusted: &str, peer: &str, lines: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let peer = SocketAddr::new(peer.parse().unwrap(), 40_000);
        TrustedProxies::parse(trusted).unwrap().resolve(peer, &headers)
    }

    #[test]
    fn the_first_hop_that_is_not_trusted_counts_from_the_right() {
        for (trusted, peer, lines, client) in [
            ("", "203.0.113.9", &[][..], "203.0.113.9"),
            ("", "203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.0/8", "203.0.113.9", &["1.2.3.4"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // The client itself wrote what stands on the left.
            ("10.0.0.0/8", "10.0.0.1", &["1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["not an address, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["1.2.3.4", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9:5555"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["[2001:db8::1]:5555"], "2001:db8::1"),
            ("10.0.0.0/8", "10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.0/8", "10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.0/8", "10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.0/8", "10.0.0.1", &["::ffff:10.0.0.7"], "10.0.0.7"),
            ("10.0.0.1", "10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
            ("::1, 127.0.0.1", "::1", &["203.0.113.9"], "203.0.113.9"),
        ] {
            let expected = Client::Known(client.parse().unwrap());
            assert_eq!(resolve(trusted, peer, lines), expected, "{trusted} {peer} {lines:?}");
        }
    }

    #[test]
    fn what_is_no_address_makes_the_client_unknown() {
        for lines in [
            &["unknown"][..],
            &[""],
            &["203.0.113.9,"],
            &["203.0.113.9, _hidden"],
            &["203.0.113.9, 10.0.0.2, 1.2.3"],
            &["203.0.113.009"],
            &["203.0.113.9 10.0.0.2"],
            &["203.0.113.9/32"],
        ] {
            assert!(matches!(resolve("10.0.0.0/8", "10.0.0.1", lines), Client::Unknown { .. }), "{lines:?}");
        }
        // Who passed it on is still known.
        assert_eq!(
            resolve("10.0.0.0/8", "10.0.0.1", &["x, 10.0.0.2"]).nearest(),
            "10.0.0.2".parse::<IpAddr>().unwrap()
        );
        assert_eq!(resolve("10.0.0.0/8", "10.0.0.1", &["x"]).known(), None);
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        for bad in ["10.0.0.0/33", "proxy.example", "10.0.0", "*"] {
            assert!(TrustedProxies::parse(bad).is_err(), "{bad}");
        }
        assert!(TrustedProxies::parse(" 10.0.0.0/8 , ::1 ,").is_ok());
    }

    proptest! {
        /// Whatever the client writes, the hop that the proxy appended decides.
        #[test]
        fn a_client_cannot_choose_its_address(forged in "[ -~]{0,80}") {
            let line = format!("{forged}, 203.0.113.9");
            prop_assert_eq!(resolve("10.0.0.0/8", "10.0.0.1", &[&line]), Client::Known("203.0.113.9".parse().unwrap()));
            prop_assert_eq!(resolve("10.0.0.0/8", "203.0.113.9", &[&forged]), Client::Known("203.0.113.9".parse().unwrap()));
        }
    }
}
