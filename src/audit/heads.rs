//! Where each chain ended when that was last looked at, kept beside the database. From the database alone it cannot be told
//! that a chain was cut together with its head, or is missing as a whole.

use std::{collections::BTreeMap, io, path::Path};

use uuid::Uuid;

use super::chain::Broken;
use crate::{data_dir, secrets};

const FILE: &str = "audit-heads";

/// A chain's last row: its number and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub seq: i64,
    pub hash: Vec<u8>,
}

/// The heads of all chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads(pub BTreeMap<Uuid, Head>);

impl Heads {
    /// Those that were kept in a data folder; none, if there is no file yet.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged; the error names it.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        match data_dir::read_checked(data_dir, FILE)? {
            Some(text) => Self::parse(&text).ok_or_else(|| data_dir::damaged(data_dir, FILE)),
            None => Ok(Self::default()),
        }
    }

    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let line = |(chain, head): (&Uuid, &Head)| format!("{chain} {} {}\n", head.seq, hex::encode(&head.hash));
        data_dir::replace_checked(data_dir, FILE, &self.0.iter().map(line).collect::<String>())
    }

    fn parse(text: &str) -> Option<Self> {
        let head = |line: &str| {
            let (chain, head) = line.split_once(' ')?;
            let (seq, hash) = head.split_once(' ')?;
            Some((chain.parse().ok()?, Head { seq: seq.parse().ok()?, hash: hex::decode(hash).ok()? }))
        };
        text.lines().map(head).collect::<Option<_>>().map(Self)
    }

    /// Whether each chain of these, which were kept, goes at least as far in `now`.
    pub fn go_on_in(&self, now: &Self) -> Result<(), Broken> {
        for (&chain, kept) in &self.0 {
            let Some(head) = now.0.get(&chain) else { return Err(Broken::Missing { chain, kept: kept.seq }) };
            if head.seq < kept.seq {
                return Err(Broken::Cut { chain, kept: kept.seq, rows: head.seq });
            }
            if head.seq == kept.seq && !secrets::same(&head.hash, &kept.hash) {
                return Err(Broken::Replaced { chain, seq: kept.seq });
            }
        }
        Ok(())
    }
}
