//! A catalog's summary in a few lines, for `keydesk catalog check`.

use super::{Catalog, Tier, routes::Route};

impl Catalog {
    /// The lines of each label.
    pub fn summary(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut environments = Vec::new();
        for environment in &self.environments {
            let mut prefixes: Vec<String> =
                self.tiers.iter().map(|tier| format!("{}…", self.prefix(environment, tier))).collect();
            prefixes.dedup();
            environments.push(format!("{}: keys begin with {}", environment.name, prefixes.join(", ")));
        }
        let scopes: Vec<String> = self.scopes.iter().map(|scope| scope.name.clone()).collect();
        let mut rules = vec![self.header_rule()];
        if self.headers.wrong_org_is_403 {
            rules.push("a key of another organization is 403".to_owned());
        } else {
            rules.push("a key of another organization is 401".to_owned());
        }
        if self.wildcards {
            rules.push("scopes may end in *".to_owned());
        }
        if self.namespaces_required {
            rules.push("a key enters only the namespaces it lists".to_owned());
        }
        if self.bound_to_creator {
            rules.push("a key stops with its creator".to_owned());
        }
        if let Some(scope) = &self.audit_scope {
            rules.push(format!("a key with {scope} reads its organization's audit log"));
        }
        vec![
            ("Brand", vec![self.brand.clone()]),
            ("Rules", rules),
            ("Environments", environments),
            ("Tiers", self.tiers.iter().map(|tier| self.tier_line(tier)).collect()),
            ("Scopes", if scopes.is_empty() { vec!["none".to_owned()] } else { vec![scopes.join(", ")] }),
            ("Service keys", vec![format!("{}…", self.service_prefix)]),
            ("Routes", self.routes.iter().map(route_line).collect()),
            ("Example", vec![self.example_line()]),
        ]
    }

    /// The summary in two columns.
    pub fn summary_text(&self) -> String {
        let mut lines = Vec::new();
        for (label, texts) in self.summary() {
            for (index, text) in texts.into_iter().enumerate() {
                let label = if index == 0 { label } else { "" };
                lines.push(format!("  {label:<14}{text}"));
            }
        }
        lines.join("\n")
    }

    fn header_rule(&self) -> String {
        match (self.headers.bearer, self.headers.api_key_wins) {
            (false, _) => "x-api-key only",
            (true, true) => "x-api-key or Authorization: Bearer; x-api-key wins",
            (true, false) => "x-api-key or Authorization: Bearer; two that differ are refused",
        }
        .to_owned()
    }

    fn tier_line(&self, tier: &Tier) -> String {
        let mut rules = vec![tier.limit.map_or_else(|| "no limit".to_owned(), |limit| limit.words())];
        if let Some(monthly) = tier.monthly {
            rules.push(format!("{} per month", super::grouped(monthly)));
        }
        if let Some(scopes) = &tier.scopes {
            rules.push(format!("only {}", scopes.join(", ")));
        }
        if tier.open_without_limiter {
            rules.push("goes on without the limiter".to_owned());
        }
        format!("{}: {}", tier.name, rules.join("; "))
    }

    fn example_line(&self) -> String {
        let target = match &self.snippets.api {
            Some(api) => format!("{}{}", api.base_url, api.path),
            None => "the key plane".to_owned(),
        };
        format!("{}: ${}_API_KEY to {target}", self.snippets.header, self.snippets.env_prefix)
    }
}

/// `GET /v1/get/{namespace}/{key}: read, namespace {namespace}`
fn route_line(route: &Route) -> String {
    let mut needs = route.scopes.clone();
    for (what, name) in [("namespace", &route.namespace), ("organization", &route.org)] {
        if let Some(name) = name {
            needs.push(format!("{what} {{{name}}}"));
        }
    }
    let needs = if needs.is_empty() { "any good key".to_owned() } else { needs.join(", ") };
    format!("{} {}: {needs}", route.methods.join(" "), route.pattern)
}
