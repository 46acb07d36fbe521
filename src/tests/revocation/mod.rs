//! Revoked means revoked: rule by rule, and under faults.

mod freshness;
mod history;
mod leases;
mod protocol;
pub mod prove;
