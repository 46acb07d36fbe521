//! The client of a request: its address, found behind trusted proxies, and its user agent. Limits, allowlists, usage
//! and audit rows all use this resolver.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// The most characters of a user agent that are stored.
pub const MAX_AGENT_CHARS: usize = 200;

/// The `User-Agent` header as it was sent; empty if there is none or it is not visible ASCII.
pub fn agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A user agent as it is stored: without control characters, and cut at [`MAX_AGENT_CHARS`].
pub fn clean_agent(sent: &str) -> String {
    sent.chars().filter(|c| !c.is_control()).take(MAX_AGENT_CHARS).collect()
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The address of a request's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Known(IpAddr),
    /// A trusted proxy passed on something that is not an address. `peer` is the proxy that did.
    Unknown {
        peer: IpAddr,
    },
}

impl Client {
    /// The client's address, or that of the proxy nearest to an unknown client. Limits and logs use it, because they
    /// need an address for every request.
    pub fn nearest(self) -> IpAddr {
        match self {
            Self::Known(address) | Self::Unknown { peer: address } => address,
        }
    }

    /// The client's address if it is known. Allowlists use it, because a proxy's address must not let a client in.
    pub fn known(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unknown { .. } => None,
        }
    }
}

impl TrustedProxies {
    /// Parses addresses and blocks, separated by commas.
    ///
    /// # Errors
    /// A sentence that names the part that is neither.
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

    /// Answers the socket's peer, unless it is a trusted proxy. Then it goes through `X-Forwarded-For` from right to
    /// left to the first hop that is not trusted. That hop could have written everything to its left, so the rest is
    /// ignored.
    pub fn resolve(&self, peer: SocketAddr, headers: &HeaderMap) -> Client {
        let peer = peer.ip().to_canonical();
        let mut nearest = peer;
        if !self.trusts(peer) {
            return Client::Known(peer);
        }
        // Several header lines form one list (RFC 9110, section 5.3).
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

/// Parses an address as proxies write it, with or without a port or brackets.
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
        // The proxy that passed it on is still known.
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
        /// The hop that the proxy appended decides, whatever the client wrote before it.
        #[test]
        fn a_client_cannot_choose_its_address(forged in "[ -~]{0,80}") {
            let line = format!("{forged}, 203.0.113.9");
            prop_assert_eq!(resolve("10.0.0.0/8", "10.0.0.1", &[&line]), Client::Known("203.0.113.9".parse().unwrap()));
            prop_assert_eq!(resolve("10.0.0.0/8", "203.0.113.9", &[&forged]), Client::Known("203.0.113.9".parse().unwrap()));
        }
    }
}
