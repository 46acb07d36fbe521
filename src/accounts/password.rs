//! Passwords: the rules for a new one (NIST SP 800-63B-4, section 3.1.1.2), and their hashing.

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

/// The bounds of a password's length, in code points after normalisation.
const MIN_CHARS: usize = 15;
const MAX_CHARS: usize = 128;
/// The shortest name that a password may not consist of. Shorter ones occur in other words by chance.
const MIN_NAME_CHARS: usize = 3;
/// The letters that a password must have besides a name that it contains.
const MIN_LETTERS_BESIDES_NAME: usize = 4;

/// The passwords that attackers try first, of those that are long enough: one a line, in lower case.
static BLOCKED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| include_str!("blocklist.txt").lines().collect());

/// A password that may be set. It is long enough and is not guessed first. It is normalised to Unicode NFC, so that it
/// is the same when it is typed on another system. Nothing is trimmed or cut.
pub struct NewPassword(Zeroizing<String>);

impl NewPassword {
    /// Checks a new password. It must not consist of one of the `names`: the person's, the organization's, the address.
    ///
    /// # Errors
    /// A sentence that says what to do, for the person.
    pub fn parse(text: &SecretString, names: &[&str]) -> Result<Self, &'static str> {
        let normal = normalise(text);
        let length = normal.chars().count();
        if length < MIN_CHARS {
            return Err("Use at least 15 characters. A few unrelated words are easy to remember.");
        }
        if length > MAX_CHARS {
            return Err("Use at most 128 characters.");
        }
        let folded = Zeroizing::new(normal.to_lowercase());
        if BLOCKED.contains(folded.as_str()) {
            return Err("This is one of the passwords that are guessed first. Choose another.");
        }
        if repeats(&folded) {
            return Err("This repeats a few characters. Choose something less regular.");
        }
        // A known name is easy to guess, also if it is repeated or padded with digits and signs.
        let consists_of = |name: &str| {
            let name = name.to_lowercase();
            let other_letters = || folded.replace(&name, "").chars().filter(|c| c.is_alphabetic()).count();
            name.chars().count() >= MIN_NAME_CHARS
                && folded.contains(&name)
                && other_letters() < MIN_LETTERS_BESIDES_NAME
        };
        if names.iter().chain(&["keydesk"]).any(|name| consists_of(name)) {
            return Err(
                "This is little more than your own, your organization's or this product's name. Choose another.",
            );
        }
        Ok(Self(normal))
    }
}

/// Whether a text is a unit of at most four characters repeated, or one run through the alphabet or the digits. A run
/// may have two breaks.
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

/// Hashes and checks passwords on blocking threads, a few at a time, so that a flood of sign-ins leaves time for the
/// key plane.
pub struct Hasher {
    argon2: Argon2<'static>,
    permits: Semaphore,
    /// The hash that is checked if there is no such account, so that the check takes as long as a real one.
    decoy: String,
}

impl Hasher {
    /// A hasher with OWASP's minimum for argon2id: m = 19456 KiB, t = 2, p = 1.
    pub fn new() -> Result<Self, HashingFailed> {
        let params = Params::new(19_456, 2, 1, None).map_err(|_| HashingFailed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, "no account has this password")?;
        // One core stays free, unless there is only one.
        let permits = std::thread::available_parallelism().map_or(1, |n| n.get().saturating_sub(1).clamp(1, 4));
        Ok(Self { argon2, permits: Semaphore::new(permits), decoy })
    }

    /// Hashes a password into a PHC string, which holds the parameters and the salt.
    pub async fn hash(&self, password: NewPassword) -> Result<String, HashingFailed> {
        let argon2 = self.argon2.clone();
        self.on_a_blocking_thread(move || hash(&argon2, &password.0)).await?
    }

    /// Whether `stored` is the hash of `password`. With `None`, for an account that does not exist, it does the same
    /// work and answers no.
    pub async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<bool, HashingFailed> {
        let password = normalise(password);
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.decoy).to_owned();
        let argon2 = self.argon2.clone();
        let matches = self
            .on_a_blocking_thread(move || {
                // No stored password is longer, so a longer one cannot match and need not be hashed whole.
                let bounded: String = password.chars().take(MAX_CHARS + 1).collect();
                let bounded = Zeroizing::new(bounded);
                PasswordHash::new(&stored).is_ok_and(|hash| argon2.verify_password(bounded.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(known && matches)
    }

    /// Whether `stored` was made with weaker parameters than this hasher's.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let Ok(hash) = PasswordHash::new(stored) else { return true };
        let Ok(params) = Params::try_from(&hash) else { return true };
        let current = self.argon2.params();
        params.m_cost() < current.m_cost() || params.t_cost() < current.t_cost()
    }

    /// Hashes a password that is already in use. It is not checked against the rules for new ones, which may have
    /// changed.
    pub async fn rehash(&self, password: &SecretString) -> Result<String, HashingFailed> {
        self.hash(NewPassword(normalise(password))).await
    }

    async fn on_a_blocking_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        let _permit = self.permits.acquire().await.map_err(|_| HashingFailed)?;
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
            assert!((MIN_CHARS..=MAX_CHARS).contains(&entry.chars().count()), "{entry}");
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
