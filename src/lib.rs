//! Keydesk
