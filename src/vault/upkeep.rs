//! Repairs of a user's data that the operator requests, made in that user's turn.

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

/// A repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mend {
    /// Make `media.db` and the folder agree about these names, and repair the totals of `media.db`.
    Media(Vec<String>),
    /// Number rows that were never sent, so that all devices get them at their next sync.
    Unsent,
    /// Move another program's journal into the collection.
    Journal,
    /// Remove objects that compute, and rebuild tables that lack some of Anki's declaration.
    Tables,
}

/// The result of a repair.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mended {
    /// The repaired media.
    Media(Settled),
    /// How many changes were numbered.
    Unsent(usize),
    /// The collection is one file.
    Journal,
    /// The tables that were rebuilt.
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
    /// Makes a repair.
    ///
    /// # Errors
    /// [`Error`]; nothing has changed then.
    pub async fn mend(&self, user: &UserName, mend: Mend) -> Result<Mended, Error> {
        let vault = self.get(user).await?;
        match mend {
            Mend::Media(names) => {
                // Files with other content than recorded are not deleted.
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
                // Opening removes objects that compute.
                let rebuilt = vault.collection(DeviceId::OPERATOR, |collection| {
                    let tables = collection.rebuild_tables()?.into_iter();
                    Ok(tables.map(str::to_owned).collect())
                });
                rebuilt.await.map(Mended::Tables)
            }
        }
    }
}
