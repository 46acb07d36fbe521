//! What server functions answer, where it is nothing that one feature alone knows.

use serde::{Deserialize, Serialize};

/// What was changed, and, where the change takes something away, since when that holds where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `Changed “CI deploys”.`, `Revoked 12 keys.`
    pub text: String,
    /// `Effective on 3 of 3 nodes after 41 ms.`
    pub receipt: Option<String>,
}

/// A page of ours to go to next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoTo {
    pub path: String,
}

impl GoTo {
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned() }
    }
}

/// A password or a token as somebody typed it: it is sent, and never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Typed(pub String);

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed")
    }
}
