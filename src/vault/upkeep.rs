//! What the operator has put right in a user's data, in that user's turn.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, Vaults, fold};
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
            Mend::Media(names) => {
                // Files with another content than recorded are not destroyed.
                let aside = vault.folder.join(layout::SET_ASIDE);
                let settled =
                    vault.media(move |store| store.settle_names(&names, &aside, clock::now_secs()));
                settled.await.map(Mended::Media)
            }
            Mend::Unsent => {
                let numbered = vault.collection(DeviceId::OPERATOR, |collection| {
                    Ok(number_unsent(collection.connection(), clock::now_ms())?)
                });
                numbered.await.map(Mended::Unsent)
            }
            Mend::Journal => {
                let folded = vault.collection(DeviceId::OPERATOR, fold);
                folded.await.map(|()| Mended::Journal)
            }
            Mend::Tables => {
                // What computes is taken away by opening alone.
                let rebuilt = vault.collection(DeviceId::OPERATOR, |collection| {
                    let tables = collection.rebuild_tables()?.into_iter();
                    Ok(tables.map(str::to_owned).collect())
                });
                rebuilt.await.map(Mended::Tables)
            }
        }
    }
}
