//! The deployment's product rules: environments with their prefixes, tiers and scopes.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    pub brand: String,
    pub service_prefix: String,
    pub environments: Vec<Environment>,
    pub tiers: Vec<Tier>,
    pub scopes: Vec<Scope>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    pub name: String,
    pub label: String,
    pub note: String,
    pub prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    pub name: String,
    pub label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    pub name: String,
    pub note: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("KEYDESK_CATALOG: {0:?} is not built yet in this version of Keydesk. Unset it, or set it to default.")]
    NotBuilt(String),
    #[error("the catalog does not parse: {0}")]
    Parse(#[from] toml::de::Error),
    #[error("the catalog has no {0}")]
    Empty(&'static str),
    #[error("the prefix {0:?} must be 1 to 32 of a-z, 0-9 and _, end in _, and not begin another prefix")]
    Prefix(String),
}

impl Catalog {
    /// A preset by name.
    pub fn preset(name: &str) -> Result<Self, CatalogError> {
        match name {
            "default" => Self::parse(include_str!("presets/default.toml")),
            other => Err(CatalogError::NotBuilt(other.to_owned())),
        }
    }

    fn parse(text: &str) -> Result<Self, CatalogError> {
        let catalog: Self = toml::from_str(text)?;
        if catalog.environments.is_empty() {
            return Err(CatalogError::Empty("environments"));
        }
        if catalog.tiers.is_empty() {
            return Err(CatalogError::Empty("tiers"));
        }
        let prefixes: Vec<&str> = catalog.prefixes().collect();
        for (at, prefix) in prefixes.iter().enumerate() {
            let well_formed = prefix.ends_with('_')
                && (2..=32).contains(&prefix.len())
                && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            let ambiguous =
                prefixes.iter().enumerate().any(|(other, longer)| other != at && longer.starts_with(prefix));
            if !well_formed || ambiguous {
                return Err(CatalogError::Prefix((*prefix).to_owned()));
            }
        }
        Ok(catalog)
    }

    /// Every prefix a secret can have.
    fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.environments.iter().map(|e| e.prefix.as_str()).chain([self.service_prefix.as_str()])
    }

    /// The brand as the beginning of an environment variable's name: `KEYDESK`.
    pub fn env_name(&self) -> String {
        self.brand.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
    }

    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments.iter().find(|e| e.name == name)
    }

    pub fn tier(&self, name: &str) -> Option<&Tier> {
        self.tiers.iter().find(|t| t.name == name)
    }

    pub fn scope(&self, name: &str) -> Option<&Scope> {
        self.scopes.iter().find(|s| s.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_preset_is_what_the_contract_says() {
        let catalog = Catalog::preset("default").unwrap();
        let prefixes: Vec<_> = catalog.environments.iter().map(|e| (e.name.as_str(), e.prefix.as_str())).collect();
        assert_eq!(prefixes, [("live", "kd_live_"), ("test", "kd_test_")]);
        let tiers: Vec<_> = catalog.tiers.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(tiers, ["standard", "high", "unlimited"]);
    }

    #[test]
    fn what_is_not_built_is_refused() {
        assert!(matches!(Catalog::preset("heso"), Err(CatalogError::NotBuilt(_))));
    }

    #[test]
    fn a_prefix_that_begins_another_is_refused() {
        let text = include_str!("presets/default.toml").replace("kd_test_", "kd_live_x_");
        assert!(matches!(Catalog::parse(&text), Err(CatalogError::Prefix(p)) if p == "kd_live_"));
        let text = include_str!("presets/default.toml").replace("kd_test_", "KD_test_");
        assert!(matches!(Catalog::parse(&text), Err(CatalogError::Prefix(_))));
    }
}
