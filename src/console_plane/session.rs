//! How a session begins and ends.

use uuid::Uuid;

use super::{context::RequestContext, error::ConsoleError};
use crate::accounts::{
    UserId,
    session::{ENTRY, SignedIn},
};

impl RequestContext {
    /// Begins a session for whoever has just proved who they are: a new id, and the old one is dead.
    pub async fn begin_session(&self, user: UserId) -> Result<(), ConsoleError> {
        let entry =
            SignedIn { user: user.0, session: Uuid::nil(), agent: self.agent.clone(), address: Some(self.address) };
        let begun = async {
            self.session.cycle_id().await?;
            self.session.insert(ENTRY, entry).await?;
            self.session.save().await
        };
        begun.await.map_err(|error| {
            tracing::error!(%error, "a session could not be begun");
            ConsoleError::Unavailable
        })
    }

    /// Ends this session, here and in the database.
    pub async fn end_session(&self) -> Result<(), ConsoleError> {
        self.session.flush().await.map_err(|error| {
            tracing::error!(%error, "a session could not be ended");
            ConsoleError::Unavailable
        })
    }
}
