//! Revoked means revoked: rule by rule, and under faults.

mod protocol;
mod prove;
