//! A row of the chain, what is hashed of it, and how a chain is checked.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::AuditKey;
use crate::secrets;

/// A row, as it is kept and as it is exported (one JSON object a line).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    pub chain: Uuid,
    /// From 1, without gaps.
    pub seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub actor_name: String,
    pub action: String,
    pub subject: String,
    pub summary: String,
    pub details: String,
    pub refused: bool,
    pub address: String,
    pub agent: String,
    pub request_id: Uuid,
    #[serde(with = "hex::serde")]
    pub hash: Vec<u8>,
}

/// What the first row of a chain follows.
pub const GENESIS: [u8; 32] = [0; 32];

impl Row {
    /// `HMAC-SHA256(key, previous || row)`, the row as its fields in order, each preceded by its length in bytes (eight
    /// bytes, big-endian), so that no two rows read the same.
    pub fn seal(&self, key: &AuditKey, previous: &[u8]) -> Vec<u8> {
        let mut canonical = Vec::new();
        let mut field = |bytes: &[u8]| {
            canonical.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            canonical.extend_from_slice(bytes);
        };
        field(self.chain.as_bytes());
        field(&self.seq.to_be_bytes());
        field(&self.at.unix_timestamp_nanos().to_be_bytes());
        field(self.actor_kind.as_bytes());
        field(self.actor_id.as_ref().map_or(&[][..], |id| id.as_bytes()));
        for text in [&self.actor_name, &self.action, &self.subject, &self.summary, &self.details] {
            field(text.as_bytes());
        }
        field(&[u8::from(self.refused)]);
        field(self.address.as_bytes());
        field(self.agent.as_bytes());
        field(self.request_id.as_bytes());
        secrets::hmac_sha256(&key.0, &[previous, &canonical]).to_vec()
    }

    /// As in an export: one JSON object on a line of its own.
    pub fn to_line(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }
}

/// Where a chain is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("chain {chain}: row {found} stands where row {expected} should")]
    Sequence { chain: Uuid, expected: i64, found: i64 },
    #[error("chain {chain}: row {seq} is not as it was written")]
    Altered { chain: Uuid, seq: i64 },
    #[error("chain {chain}: its head says {head} rows, but there are {rows}")]
    Head { chain: Uuid, head: i64, rows: i64 },
    #[error("chain {chain}: it was cut at its end, and has {rows} rows of at least {kept}")]
    Cut { chain: Uuid, kept: i64, rows: i64 },
    #[error("chain {chain}: it is missing, and had at least {kept} rows")]
    Missing { chain: Uuid, kept: i64 },
    #[error("chain {chain}: row {seq} is not the one that was there before")]
    Replaced { chain: Uuid, seq: i64 },
}

/// Checks a chain row by row, in order, without holding it in memory.
pub struct Checker<'a> {
    key: &'a AuditKey,
    chain: Uuid,
    seq: i64,
    hash: Vec<u8>,
}

impl<'a> Checker<'a> {
    pub fn new(key: &'a AuditKey, chain: Uuid) -> Self {
        Self { key, chain, seq: 0, hash: GENESIS.to_vec() }
    }

    pub fn row(&mut self, row: &Row) -> Result<(), Broken> {
        if row.seq != self.seq + 1 {
            return Err(Broken::Sequence { chain: self.chain, expected: self.seq + 1, found: row.seq });
        }
        if row.chain != self.chain || !secrets::same(&row.hash, &row.seal(self.key, &self.hash)) {
            return Err(Broken::Altered { chain: self.chain, seq: row.seq });
        }
        self.seq = row.seq;
        self.hash.clone_from(&row.hash);
        Ok(())
    }

    /// Compares the end that was reached with the chain's head. Answers the number of rows.
    pub fn finish(self, head_seq: i64, head_hash: &[u8]) -> Result<i64, Broken> {
        if head_seq != self.seq {
            return Err(Broken::Head { chain: self.chain, head: head_seq, rows: self.seq });
        }
        if !secrets::same(head_hash, &self.hash) {
            return Err(Broken::Altered { chain: self.chain, seq: self.seq });
        }
        Ok(self.seq)
    }

    /// The number of rows checked, where there is no head to compare with.
    pub fn rows(&self) -> i64 {
        self.seq
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn key() -> AuditKey {
        AuditKey("k".into())
    }

    fn chain(rows: i64) -> Vec<Row> {
        let mut previous = GENESIS.to_vec();
        (1..=rows)
            .map(|seq| {
                let mut row = Row {
                    chain: Uuid::from_u128(7),
                    seq,
                    at: datetime!(2026-11-24 12:00 UTC),
                    actor_kind: "member".into(),
                    actor_id: None,
                    actor_name: "Ada".into(),
                    action: "key.issue".into(),
                    subject: format!("key:{seq}"),
                    summary: "Issued".into(),
                    details: "{}".into(),
                    refused: false,
                    address: "127.0.0.1".into(),
                    agent: "test".into(),
                    request_id: Uuid::nil(),
                    hash: Vec::new(),
                };
                row.hash = row.seal(&key(), &previous);
                previous.clone_from(&row.hash);
                row
            })
            .collect()
    }

    fn check(rows: &[Row]) -> Result<i64, Broken> {
        let key = key();
        let mut checker = Checker::new(&key, Uuid::from_u128(7));
        rows.iter().try_for_each(|row| checker.row(row))?;
        Ok(checker.rows())
    }

    #[test]
    fn an_untouched_chain_holds() {
        assert_eq!(check(&chain(5)), Ok(5));
        assert_eq!(check(&[]), Ok(0));
    }

    #[test]
    fn any_touched_field_is_named_by_its_row() {
        let touch: [fn(&mut Row); 12] = [
            |r| r.at += time::Duration::microseconds(1),
            |r| r.actor_kind = "support".into(),
            |r| r.actor_id = Some(Uuid::nil()),
            |r| r.actor_name = "Eve".into(),
            |r| r.action = "key.revoke".into(),
            |r| r.subject = "key:9".into(),
            |r| r.summary.push('!'),
            |r| r.details = "[]".into(),
            |r| r.refused = true,
            |r| r.address.clear(),
            |r| r.agent.clear(),
            |r| r.request_id = Uuid::from_u128(1),
        ];
        for touch in touch {
            let mut rows = chain(5);
            touch(&mut rows[2]);
            assert_eq!(check(&rows), Err(Broken::Altered { chain: Uuid::from_u128(7), seq: 3 }));
        }
    }

    #[test]
    fn text_cannot_move_between_fields() {
        let mut rows = chain(1);
        rows[0].actor_name = "Ad".into();
        rows[0].action = "akey.issue".into();
        assert!(check(&rows).is_err());
    }

    #[test]
    fn a_missing_a_swapped_and_a_cut_row_are_noticed() {
        let mut missing = chain(5);
        missing.remove(1);
        assert!(matches!(check(&missing), Err(Broken::Sequence { expected: 2, found: 3, .. })));
        let mut swapped = chain(5);
        swapped.swap(1, 2);
        assert!(check(&swapped).is_err());
        let rows = chain(5);
        let key = key();
        let mut checker = Checker::new(&key, Uuid::from_u128(7));
        rows[..4].iter().try_for_each(|row| checker.row(row)).unwrap();
        assert!(matches!(checker.finish(5, &rows[4].hash), Err(Broken::Head { head: 5, rows: 4, .. })));
    }

    #[test]
    fn another_key_makes_another_chain() {
        let rows = chain(1);
        assert_ne!(rows[0].hash, rows[0].seal(&AuditKey("other".into()), &GENESIS));
    }
}
