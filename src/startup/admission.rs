//! Whether a grant store may be served from, by what the change feed knows.

use std::sync::Arc;

use async_trait::async_trait;

use crate::changes::{Published, ReloadRequest, WitnessMover};
use crate::directory::DirectoryView;
use crate::domain::position::{ChangeNumber, Position};
use crate::grants::Admission;

/// Judges by the witness, and by what this replica remembers.
pub struct FeedAdmission {
    pub mover: Arc<WitnessMover>,
    pub published: Arc<Published<DirectoryView>>,
    pub reload: ReloadRequest,
}

#[async_trait]
impl Admission for FeedAdmission {
    async fn admit(&self, witness: Option<Position>) -> Result<(), String> {
        // What this replica has itself read from the feed needs no proof by SQL, which may be away.
        let newest = self.published.newest();
        if newest.is_none_or(|newest| witness != Some(newest.position)) {
            self.mover.judge(witness).await.map_err(|error| error.to_string())?;
        }
        let number = witness.map_or(ChangeNumber::ZERO, |witness| witness.number);
        if number < self.memory_floor() {
            // Deleted records may be back that this replica has forgotten were revoked.
            self.reload.ask();
            return Err(format!(
                "the grant store was restored to an older state (change {number}); remembering every \
                 revocation again first"
            ));
        }
        Ok(())
    }

    fn memory_floor(&self) -> ChangeNumber {
        self.published.newest().map_or(ChangeNumber::ZERO, |newest| newest.memory_floor)
    }
}
