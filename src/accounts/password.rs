//! Passwords: which are accepted (NIST SP 800-63B-4 §3.1.1.2), and how they are hashed.

use std::{collections::HashSet, sync::LazyLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::error_kind::DomainError;

/// In code points, after normalisation.
const MIN: usize = 15;
const MAX: usize = 128;

/// Passwords that attackers try first, of those long enough to be accepted otherwise; one a line, lower-case.
static BLOCKED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("blocklist.txt").lines().collect());

/// A password that may be set: long enough and not one that is guessed first. Unicode is normalised (NFC), so that the
/// same password typed on another system stays the same; nothing is trimmed or cut.
pub struct NewPassword(Zeroizing<String>);

impl NewPassword {
    /// `about` is what it must not simply repeat: the person's and the organization's names, the address, the product.
    /// Errors: a sentence that says what to do.
    pub fn parse(text: &SecretString, about: &[&str]) -> Result<Self, &'static str> {
        let normal = normalise(text);
        let length = normal.chars().count();
        if length < MIN {
            return Err("Use at least 15 characters. A few unrelated words are easy to remember.");
        }
        if length > MAX {
            return Err("Use at most 128 characters.");
        }
        let folded = Zeroizing::new(normal.to_lowercase());
        if BLOCKED.contains(folded.as_str()) {
            return Err("This is one of the passwords that are guessed first. Choose another.");
        }
        if repeats(&folded) {
            return Err("This repeats a few characters. Choose something less regular.");
        }
        // A known name, however often it is repeated or padded with digits and signs, is no secret.
        let says_only = |name: &str| {
            let name = name.to_lowercase();
            name.chars().count() >= 3
                && folded.contains(&name)
                && folded.replace(&name, "").chars().filter(|c| c.is_alphabetic()).count() < 4
        };
        if about.iter().chain(&["keydesk"]).any(|name| says_only(name)) {
            return Err(
                "This is little more than your own, your organization's or this product's name. Choose another.",
            );
        }
        Ok(Self(normal))
    }
}

/// Whether the whole is a short unit over and over, or one run through the alphabet or the digits.
fn repeats(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let unit = |n: usize| chars.iter().zip(chars.iter().skip(n)).all(|(a, b)| a == b);
    let steps = |step: i64| {
        chars
            .iter()
            .zip(chars.iter().skip(1))
            .filter(|(a, b)| i64::from(u32::from(**b)) - i64::from(u32::from(**a)) == step)
            .count()
    };
    (1..=4).any(unit) || steps(1) + 3 >= chars.len() || steps(-1) + 3 >= chars.len()
}

fn normalise(text: &SecretString) -> Zeroizing<String> {
    Zeroizing::new(text.expose_secret().nfc().collect())
}

#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashingFailed;

impl DomainError for HashingFailed {}

/// Hashes and checks passwords on threads that may block, a few at a time, so that a flood of sign-ins cannot take the
/// machine away from the key plane.
pub struct Hasher {
    argon2: Argon2<'static>,
    turns: Semaphore,
    /// The hash of a password nobody has: checking against it costs what a real check costs.
    decoy: String,
}

impl Hasher {
    /// argon2id with m = 19456 KiB, t = 2, p = 1 (OWASP's minimum).
    pub fn new() -> Result<Self, HashingFailed> {
        let params = Params::new(19_456, 2, 1, None).map_err(|_| HashingFailed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, "no account has this password")?;
        // Leaves a core to others on anything but the smallest machine.
        let turns = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).clamp(1, 4));
        Ok(Self { argon2, turns: Semaphore::new(turns), decoy })
    }

    /// A PHC string.
    pub async fn hash(&self, password: NewPassword) -> Result<String, HashingFailed> {
        let argon2 = self.argon2.clone();
        self.on_a_blocking_thread(move || hash(&argon2, &password.0)).await?
    }

    /// Whether `password` is the one that `stored` was made from. With `None` (no such account) the same work is done,
    /// and the answer is no.
    pub async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<bool, HashingFailed> {
        let password = normalise(password);
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let argon2 = self.argon2.clone();
        let matches = self
            .on_a_blocking_thread(move || {
                // A longer one was never accepted; hashing a megabyte would only be a way to keep us busy.
                let bounded: String = password.chars().take(MAX + 1).collect();
                let bounded = Zeroizing::new(bounded);
                PasswordHash::new(&stored).is_ok_and(|hash| argon2.verify_password(bounded.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(known && matches)
    }

    /// Whether `stored` was made with weaker parameters than today's.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let Ok(hash) = PasswordHash::new(stored) else { return true };
        let Ok(params) = Params::try_from(&hash) else { return true };
        let today = self.argon2.params();
        params.m_cost() < today.m_cost() || params.t_cost() < today.t_cost()
    }

    /// For rehashing at sign-in: the password was accepted once, so it is not judged again.
    pub async fn rehash(&self, password: &SecretString) -> Result<String, HashingFailed> {
        self.hash(NewPassword(normalise(password))).await
    }

    async fn on_a_blocking_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        let _turn = self.turns.acquire().await.map_err(|_| HashingFailed)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| HashingFailed)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, HashingFailed> {
    Ok(argon2.hash_password(password.as_bytes()).map_err(|_| HashingFailed)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(), &'static str> {
        NewPassword::parse(&text.into(), &["Ada Lovelace", "Analytical Engines"]).map(|_| ())
    }

    #[test]
    fn fifteen_code_points_of_anything_will_do() {
        for good in [
            "correct horse battery staple",
            "päßwörter sind öde",
            "日本語の長い合言葉はとても強い鍵",
            "  spaces count   too ",
            "tr0ub4dor&3 (not)",
        ] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        assert!(parse(&"x7k ".repeat(3)).is_err(), "12 code points");
        assert!(parse(&"aé日😀z".repeat(26)).is_err(), "130 code points");
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for bad in [
            "aaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "abcdefghijklmnopqrst",
            "12345678901234567890",
            "passwordpassword",
            "PasswordPassword",
            "Keydesk2026!!!!!!!",
            "ada lovelace 123",
            "analytical engines 2026",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_blocklist_is_as_large_as_promised_and_every_entry_could_be_tried() {
        assert!(BLOCKED.len() >= 3_000, "{}", BLOCKED.len());
        for entry in BLOCKED.iter() {
            assert!((MIN..=MAX).contains(&entry.chars().count()), "{entry}");
            assert_eq!(*entry, entry.to_lowercase());
        }
    }

    #[tokio::test]
    async fn a_password_is_recognised_in_any_unicode_form_and_nothing_else_is() {
        let hasher = Hasher::new().unwrap();
        let composed: SecretString = "caf\u{e9} au lait, bien chaud".into();
        let decomposed: SecretString = "cafe\u{301} au lait, bien chaud".into();
        let stored = hasher.hash(NewPassword::parse(&composed, &[]).unwrap()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(hasher.verify(&composed, Some(&stored)).await.unwrap());
        assert!(hasher.verify(&decomposed, Some(&stored)).await.unwrap());
        assert!(!hasher.verify(&"caf\u{e9} au lait, bien chaud ".into(), Some(&stored)).await.unwrap());
        assert!(!hasher.verify(&"no account has this password".into(), None).await.unwrap());
        assert!(!hasher.is_outdated(&stored));
    }
}
