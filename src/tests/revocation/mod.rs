//! Revoked means revoked: rule by rule, and under faults.

mod freshness;
mod leases;
mod protocol;
pub mod prove;
