//! User agents and their families. Usage is counted by family, so that each version of a program is not a caller of its
//! own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::client;

/// The most agents that [`AgentCache`] holds. It is emptied when it is full.
const MAX_CACHED_AGENTS: usize = 1_000;
/// The longest `User-Agent` header that [`AgentCache`] holds.
const MAX_CACHED_AGENT_BYTES: usize = 512;
/// The most characters of an agent's family.
const MAX_FAMILY_CHARS: usize = 40;

/// A caller's user agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The header without control characters, cut at [`client::MAX_AGENT_CHARS`].
    pub text: Arc<str>,
    pub family: Arc<str>,
}

impl Agent {
    pub fn parse(text: &str) -> Self {
        let text = client::clean_agent(text);
        Self { family: family(&text).into(), text: text.into() }
    }
}

/// Parsed agents by their header. Nearly every call sends a header that an earlier call sent.
#[derive(Debug, Default)]
pub struct AgentCache(Mutex<HashMap<Box<str>, Agent>>);

impl AgentCache {
    pub fn get(&self, sent: &str) -> Agent {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = cached.get(sent) {
            return agent.clone();
        }
        let agent = Agent::parse(sent);
        if sent.len() <= MAX_CACHED_AGENT_BYTES {
            // Clients can send any number of different headers, so the cache must not grow with them.
            if cached.len() >= MAX_CACHED_AGENTS {
                cached.clear();
            }
            cached.insert(sent.into(), agent.clone());
        }
        agent
    }
}

/// The name of the browser that an agent belongs to.
pub fn browser(agent: &str) -> Option<&'static str> {
    // Later browsers also name the earlier ones in their agents, so the later ones are tried first.
    const BROWSERS: [(&str, &str); 5] =
        [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let (_, name) = BROWSERS.iter().find(|(mark, _)| agent.contains(mark)).filter(|_| agent.starts_with("Mozilla/"))?;
    Some(name)
}

/// An agent's family: `curl` for `curl/8.5.0`, `Firefox` for that browser, and nothing for an empty agent.
pub fn family(agent: &str) -> String {
    if let Some(name) = browser(agent) {
        return name.to_owned();
    }
    let product = agent.split(['/', ' ', '(', ';']).next().unwrap_or_default();
    product.chars().filter(|c| !c.is_control()).take(MAX_FAMILY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families() {
        for (agent, name) in [
            ("curl/8.5.0", "curl"),
            ("python-httpx/0.28.1", "python-httpx"),
            ("Go-http-client/2.0", "Go-http-client"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
            ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0", "Edge"),
            ("Mozilla/5.0 (compatible; bot)", "Mozilla"),
            ("my service", "my"),
            ("", ""),
        ] {
            assert_eq!(family(agent), name);
        }
        assert_eq!(family(&"x".repeat(500)).len(), MAX_FAMILY_CHARS);
    }

    #[test]
    fn agents_are_cut_and_the_cache_is_bounded() {
        let agents = AgentCache::default();
        for sent in [&"x".repeat(300), &"x".repeat(3_000), "curl/8.5.0\u{7}", "curl/8.5.0"] {
            let agent = agents.get(sent);
            assert!(agent.text.len() <= client::MAX_AGENT_CHARS && !agent.text.contains(char::is_control), "{agent:?}");
            assert_eq!(agents.get(sent).family, agent.family);
        }
        assert_eq!(agents.0.lock().unwrap().len(), 3, "a very long header is not cached");
        for n in 0..5_000 {
            assert_eq!(&*agents.get(&format!("curl/{n}")).family, "curl");
        }
        assert!(agents.0.lock().unwrap().len() <= MAX_CACHED_AGENTS);
    }
}
