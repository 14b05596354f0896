//! What the operator has put right in a user's data, in that user's turn.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Vault, Vaults, fold};
use crate::{
    account::{DeviceId, name::UserName},
    clock,
    collection::examine::number_unsent,
    layout,
    media::examine::Settled,
};

/// What is to be put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// See that `media.db` and the folder agree about these names, and `media.db` with itself.
    Media(Vec<String>),
    /// Number what no device was told, so that all are told at their next sync.
    Unsent,
    /// Bring into the collection what another program left in the journal.
    Journal,
    /// Take away what computes, and build tables anew that lack what Anki declares.
    Tables,
}

/// What was done.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mended {
    /// Of the media.
    Media(Settled),
    /// So many changes were numbered.
    Unsent(usize),
    /// The collection is one file.
    Journal,
    /// These tables were built anew.
    Tables(Vec<String>),
}

impl fmt::Display for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Media(settled) => settled.fmt(f),
            Self::Unsent(rows) => write!(
                f,
                "{rows} changes will reach the devices at their next sync"
            ),
            Self::Journal => f.write_str("the journal has been merged into the collection"),
            Self::Tables(tables) if tables.is_empty() => {
                f.write_str("all tables are as Anki declares them")
            }
            Self::Tables(tables) => write!(f, "rebuilt the tables {}", tables.join(", ")),
        }
    }
}

impl Vaults {
    /// Puts something right in a user's data.
    ///
    /// # Errors
    /// [`Error`]; all is as it was then.
    pub async fn mend(&self, user: &UserName, mend: Mend) -> Result<Mended, Error> {
        let vault = self.get(user).await?;
        match mend {
            Mend::Media(names) => vault.settle_media(names).await.map(Mended::Media),
            Mend::Unsent => vault.number_unsent().await.map(Mended::Unsent),
            Mend::Journal => vault.bring_in_journal().await.map(|()| Mended::Journal),
            Mend::Tables => vault.rebuild_tables().await.map(Mended::Tables),
        }
    }
}

impl Vault {
    /// Files with another content than recorded go to `.anki-syncd/set-aside`.
    async fn settle_media(&self, names: Vec<String>) -> Result<Settled, Error> {
        let aside = self.folder.join(layout::SET_ASIDE);
        self.media(move |store| store.settle_names(&names, &aside, clock::now_secs()))
            .await
    }

    async fn number_unsent(&self) -> Result<usize, Error> {
        self.collection(DeviceId::OPERATOR, |collection| {
            Ok(number_unsent(collection.connection(), clock::now_ms())?)
        })
        .await
    }

    /// What computes is taken away by opening alone.
    async fn rebuild_tables(&self) -> Result<Vec<String>, Error> {
        self.collection(DeviceId::OPERATOR, |collection| {
            Ok(collection
                .rebuild_tables()?
                .into_iter()
                .map(str::to_owned)
                .collect())
        })
        .await
    }

    async fn bring_in_journal(&self) -> Result<(), Error> {
        self.collection(DeviceId::OPERATOR, fold).await
    }
}
