//! User agents by family, so that a thousand versions are not a thousand callers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::client;

/// How many agents are remembered at most.
const MAX_AGENTS: usize = 1_000;
/// An agent that is sent longer than this is read anew at each call.
const MAX_AGENT_BYTES: usize = 512;

/// What a caller says it is.
#[derive(Clone, Debug)]
pub struct Agent {
    /// As it says, without control characters, and not all of it if it says much.
    pub said: Arc<str>,
    pub family: Arc<str>,
}

impl Agent {
    pub fn parse(text: &str) -> Self {
        let said = client::kept_agent(text);
        Self { family: family(&said).into(), said: said.into() }
    }
}

/// Agents by what was sent: nearly every call says what an earlier one said, and need not be read again.
#[derive(Debug, Default)]
pub struct Agents(Mutex<HashMap<Box<str>, Agent>>);

impl Agents {
    pub fn get(&self, sent: &str) -> Agent {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = known.get(sent) {
            return agent.clone();
        }
        let agent = Agent::parse(sent);
        if sent.len() <= MAX_AGENT_BYTES {
            // Anybody can send ever new ones.
            if known.len() >= MAX_AGENTS {
                known.clear();
            }
            known.insert(sent.into(), agent.clone());
        }
        agent
    }
}

/// The browser that an agent says it is.
pub fn browser(agent: &str) -> Option<&'static str> {
    // Each later browser says the names of the earlier ones too, so the order counts.
    const BROWSERS: [(&str, &str); 5] =
        [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    let (_, name) = BROWSERS.iter().find(|(mark, _)| agent.contains(mark)).filter(|_| agent.starts_with("Mozilla/"))?;
    Some(name)
}

/// `curl` for `curl/8.5.0`, `Firefox` for a browser's; empty for none.
pub fn family(agent: &str) -> String {
    if let Some(name) = browser(agent) {
        return name.to_owned();
    }
    let product = agent.split(['/', ' ', '(', ';']).next().unwrap_or_default();
    product.chars().filter(|c| !c.is_control()).take(40).collect()
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
        assert_eq!(family(&"x".repeat(500)).len(), 40);
    }

    #[test]
    fn agents_are_cut_and_only_so_many_are_remembered() {
        let agents = Agents::default();
        for sent in [&"x".repeat(300), &"x".repeat(3_000), "curl/8.5.0\u{7}", "curl/8.5.0"] {
            let agent = agents.get(sent);
            assert!(agent.said.len() <= client::AGENT_CHARS && !agent.said.contains(char::is_control), "{agent:?}");
            assert_eq!(agents.get(sent).family, agent.family);
        }
        assert_eq!(agents.0.lock().unwrap().len(), 3, "what is very long is read anew each time");
        for n in 0..5_000 {
            assert_eq!(&*agents.get(&format!("curl/{n}")).family, "curl");
        }
        assert!(agents.0.lock().unwrap().len() <= MAX_AGENTS);
    }
}
