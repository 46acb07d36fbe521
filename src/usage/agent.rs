//! User agents by family, so that a thousand versions are not a thousand callers.

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
}
