//! What the nodes of a data folder have seen of the database's history, kept beside the database: so a database that went
//! back (a restore, a stand-by that lacks commits) is noticed, and keys that are known to have been revoked stay refused.
//!
//! One file for all nodes of a folder. It is replaced as a whole, under a lock, by what was in it together with what a node
//! has seen. A check value tells a damaged file from a whole one.

use std::{
    cmp::Ordering,
    collections::{HashSet, VecDeque},
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use uuid::Uuid;

use crate::{
    data_dir,
    revocation::{Mark, Revision},
    secrets::Digest,
};

const FILE: &str = "history";
const LOCK: &str = "history.lock";
/// The first line of the file.
const FORMAT: &str = "keydesk history 1";
/// How many revoked keys are remembered at most. The newest stay.
pub const MAX_REVOKED: usize = 4_096;

/// What was seen of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often an operator has accepted another history. What was seen of the one before does not count any more.
    pub accepted: u64,
    /// The last revision that a node has applied.
    pub last: Option<Mark>,
    /// Keys and service keys that were revoked, the newest last.
    pub revoked: VecDeque<Digest>,
}

impl Seen {
    /// A node has applied `last`, and has seen that `revoked` are revoked.
    pub fn note(&mut self, last: Mark, revoked: &[Digest]) {
        self.last = Some(last);
        if !revoked.is_empty() {
            self.add(revoked.iter().copied());
        }
    }

    fn add(&mut self, revoked: impl ExactSizeIterator<Item = Digest>) {
        let skipped = revoked.len().saturating_sub(MAX_REVOKED);
        let newest: Vec<Digest> = revoked.skip(skipped).collect();
        let known: HashSet<&Digest> = newest.iter().collect();
        self.revoked.retain(|digest| !known.contains(digest));
        self.revoked.extend(newest);
        self.revoked.drain(..self.revoked.len().saturating_sub(MAX_REVOKED));
    }

    /// What two have seen of one history: of the one that was accepted last, if they differ in that.
    pub fn merge(mut self, mut other: Self) -> Self {
        match self.accepted.cmp(&other.accepted) {
            Ordering::Greater => self,
            Ordering::Less => other,
            Ordering::Equal => {
                let revision = |seen: &Self| seen.last.map(|last| last.revision);
                if revision(&self) > revision(&other) {
                    std::mem::swap(&mut self, &mut other);
                }
                self.last = other.last;
                self.add(other.revoked.into_iter());
                self
            }
        }
    }

    /// Why the database is not the one that was seen, or is an earlier state of it; `None` if it may be the same. `head` is
    /// its newest revision, and `known` the token that its log has at the last revision that was seen. Changes that all
    /// nodes have applied are deleted from the log, so a token that is not there says nothing.
    pub fn went_back(&self, head: Mark, known: Option<Uuid>) -> Option<String> {
        let last = self.last?;
        let (theirs, ours) = (head.revision.0, last.revision.0);
        let known = if theirs == ours { Some(head.token) } else { known };
        if theirs < ours {
            Some(format!("the database has gone back: it is at revision {theirs}, and was at {ours}"))
        } else if known.is_some_and(|token| token != last.token) {
            Some(format!("the database has another history: its revision {ours} is not the one that was there"))
        } else {
            None
        }
    }

    fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\naccepted {}\n", self.accepted);
        if let Some(Mark { revision, token }) = self.last {
            text += &format!("revision {} {token}\n", revision.0);
        }
        for digest in &self.revoked {
            text += &format!("revoked {}\n", digest.to_hex());
        }
        text
    }

    /// `None`: it is not of this form.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FORMAT {
            return None;
        }
        let mut seen = Self::default();
        for line in lines {
            match line.split_once(' ')? {
                ("accepted", count) => seen.accepted = count.parse().ok()?,
                ("revision", mark) => {
                    let (revision, token) = mark.split_once(' ')?;
                    let (revision, token) = (Revision(revision.parse().ok()?), token.parse().ok()?);
                    seen.last = Some(Mark { revision, token });
                }
                ("revoked", digest) => seen.revoked.push_back(Digest::from_hex(digest)?),
                _ => return None,
            }
        }
        Some(seen)
    }
}

/// What was seen from this folder; nothing, if there is no file yet.
///
/// # Errors
/// The file cannot be read, or is damaged; the error names it.
pub fn read(data_dir: &Path) -> io::Result<Seen> {
    match data_dir::read_checked(data_dir, FILE)? {
        Some(text) => Seen::parse(&text).ok_or_else(|| data_dir::damaged(data_dir, FILE)),
        None => Ok(Seen::default()),
    }
}

/// Replaces what the file says by what `change` makes of it, and answers that. A damaged file counts as empty.
pub fn update(data_dir: &Path, change: impl FnOnce(Seen) -> Seen) -> io::Result<Seen> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(data_dir.join(LOCK))?;
    lock.lock()?;
    let found = match read(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        found => Some(found?),
    };
    let seen = change(found.clone().unwrap_or_default());
    if found.as_ref() != Some(&seen) {
        data_dir::replace_checked(data_dir, FILE, &seen.to_text())?;
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mark(revision: i64, token: u128) -> Mark {
        Mark { revision: Revision(revision), token: Uuid::from_u128(token) }
    }

    fn seen(last: Mark, revoked: &[&[u8]]) -> Seen {
        Seen { accepted: 0, last: Some(last), revoked: revoked.iter().map(|secret| Digest::of(secret)).collect() }
    }

    #[test]
    fn a_database_that_lacks_what_was_seen_has_gone_back() {
        let seen = seen(mark(7, 1), &[]);
        assert_eq!(seen.went_back(mark(7, 1), Some(Uuid::from_u128(1))), None);
        assert_eq!(seen.went_back(mark(9, 3), Some(Uuid::from_u128(1))), None);
        assert_eq!(seen.went_back(mark(9, 3), None), None, "the log does not reach back so far");
        assert!(seen.went_back(mark(6, 1), None).is_some_and(|why| why.contains("at revision 6, and was at 7")));
        assert!(seen.went_back(mark(7, 2), None).is_some(), "the same number in another history");
        assert!(seen.went_back(mark(9, 3), Some(Uuid::from_u128(2))).is_some(), "and one that has overtaken it");
        assert_eq!(Seen::default().went_back(mark(0, 1), None), None, "nothing was seen yet");
    }

    #[test]
    fn what_was_seen_reads_back() {
        for seen in [Seen::default(), Seen { accepted: 2, ..seen(mark(7, 1), &[b"a", b"b"]) }] {
            assert_eq!(Seen::parse(&seen.to_text()), Some(seen));
        }
        assert_eq!(Seen::parse("keydesk history 2\naccepted 0\n"), None);
    }

    #[test]
    fn nodes_of_one_folder_know_together_what_each_has_seen_until_another_history_is_accepted() {
        let folder = std::env::temp_dir().join(format!("keydesk-history-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let [ahead, behind] = [seen(mark(7, 1), &[b"a", b"b"]), seen(mark(6, 2), &[b"b", b"c"])];
        for node in [&ahead, &behind] {
            update(&folder, |file| file.merge(node.clone())).unwrap();
        }
        let together = read(&folder).unwrap();
        assert_eq!(together, seen(mark(7, 1), &[b"c", b"a", b"b"]));
        update(&folder, |_| Seen { accepted: 1, ..seen(mark(3, 4), &[]) }).unwrap();
        let accepted = update(&folder, |file| file.merge(together)).unwrap();
        assert_eq!(
            accepted,
            Seen { accepted: 1, ..seen(mark(3, 4), &[]) },
            "a node that has not heard changes nothing"
        );
        assert_eq!(accepted.clone().merge(ahead.clone()), accepted);
        // A torn file is named, and the next write makes a whole one.
        fs::write(folder.join(FILE), &ahead.to_text()[..40]).unwrap();
        let error = read(&folder).unwrap_err();
        assert!(error.to_string().contains("history is damaged"), "{error}");
        assert_eq!(update(&folder, |file| file.merge(ahead.clone())).unwrap(), ahead);
        assert_eq!(read(&folder).unwrap(), ahead);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_newest_revoked_keys_are_remembered() {
        let mut seen = Seen::default();
        let digests: Vec<Digest> = (0..MAX_REVOKED + 2).map(|n| Digest::of(&n.to_be_bytes())).collect();
        seen.note(mark(1, 1), &digests[..1]);
        seen.note(mark(2, 2), &digests);
        assert_eq!((seen.revoked.len(), seen.revoked.front()), (MAX_REVOKED, digests.get(2)));
        seen.note(mark(3, 3), &digests[2..3]);
        assert_eq!((seen.revoked.len(), seen.revoked.back()), (MAX_REVOKED, digests.get(2)), "and each once");
    }
}
