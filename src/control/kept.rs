//! Snapshots, restores and backups, as the operator asks for them.

use std::{io::Write, sync::Arc};

use tempfile::NamedTempFile;
use tokio::{io::AsyncReadExt, task::spawn_blocking};

use super::{
    BackedUp, Operator, Preview, Source,
    server::{Answer, Rest, value},
};
use crate::{
    account::name::UserName,
    collection::{
        file::Summary,
        upload::{CheckError, Refusal},
    },
    vault::{Error, Vault, snapshot::Snapshot},
};

const BLOCK: u64 = 1024 * 1024;

impl Operator {
    pub(super) async fn back_up(&self, user: &UserName) -> Result<Answer, String> {
        let vault = self.vault_with_room(user).await?;
        let backup = vault.back_up().await.map_err(said)?;
        let damage = backup.damage.as_ref().map(|damage| {
            tracing::warn!(user = user.as_str(), %damage, "{user}: the collection is damaged, so it was not backed up");
            format!("the collection is damaged, so it was not backed up; `anki-syncd restore {user} --list` shows earlier versions")
        });
        let mut answer = value(&BackedUp {
            folder: backup.folder().to_owned(),
            collection: backup.collection,
            damage,
            media: backup.media,
        })?;
        answer.held = Some(backup);
        Ok(answer)
    }

    pub(super) async fn backup_done(&self, users: &[UserName]) -> Result<(), String> {
        for user in users {
            self.vault(user).await?.backed_up().await.map_err(said)?;
        }
        Ok(())
    }

    pub(super) async fn snapshots(&self, user: &UserName) -> Result<Vec<Snapshot>, String> {
        list(&self.vault(user).await?).await
    }

    pub(super) async fn preview(
        &self,
        user: &UserName,
        source: Source,
        rest: &mut Rest,
    ) -> Result<Preview, String> {
        let vault = self.vault_with_room(user).await?;
        let (_copy, restored) = examine(&vault, source, rest).await?;
        let present = vault.summary().await.map_err(said)?;
        Ok(Preview { present, restored })
    }

    pub(super) async fn restore(
        &self,
        user: &UserName,
        source: Source,
        rest: &mut Rest,
    ) -> Result<Option<Snapshot>, String> {
        let vault = self.vault_with_room(user).await?;
        let (copy, restored) = examine(&vault, source.clone(), rest).await?;
        let kept = vault.restore(copy).await.map_err(said)?;
        tracing::info!(
            user = user.as_str(),
            "{user}: the operator restored {}: {} cards, {} reviews",
            match source {
                Source::Snapshot(name) => format!("the snapshot {name}"),
                Source::Sent(_) => "a file".to_owned(),
            },
            restored.cards,
            restored.reviews
        );
        Ok(kept)
    }

    pub(super) async fn allow_upload(&self, user: &UserName) -> Result<bool, String> {
        let vault = self.vault(user).await?;
        let allowed = spawn_blocking(move || vault.allow_upload()).await;
        allowed.map_err(said)?.map_err(said)
    }

    /// For what takes room on the disk for a while.
    async fn vault_with_room(&self, user: &UserName) -> Result<Arc<Vault>, String> {
        let vault = self.vault(user).await?;
        vault.admit(self.server.policy().room).await.map_err(said)?;
        Ok(vault)
    }

    async fn vault(&self, user: &UserName) -> Result<Arc<Vault>, String> {
        if !self.server.accounts.standing(user).is_listed() {
            return Err(format!("there is no user {:?}", user.as_str()));
        }
        self.server.vaults.get(user).await.map_err(said)
    }
}

async fn list(vault: &Arc<Vault>) -> Result<Vec<Snapshot>, String> {
    let vault = Arc::clone(vault);
    let listed = spawn_blocking(move || vault.snapshots().list()).await;
    listed.map_err(said)?.map_err(said)
}

async fn examine(
    vault: &Arc<Vault>,
    source: Source,
    rest: &mut Rest,
) -> Result<(NamedTempFile, Summary), String> {
    let copy = match source {
        Source::Sent(bytes) => receive(vault, bytes, rest).await?,
        Source::Snapshot(name) => {
            let snapshots = list(vault).await?;
            let found = snapshots
                .into_iter()
                .find(|snapshot| snapshot.name() == name);
            let snapshot = found.ok_or_else(|| format!("there is no snapshot {name:?}"))?;
            let vault = Arc::clone(vault);
            let unpacked = spawn_blocking(move || {
                let snapshots = vault.snapshots();
                snapshots
                    .unpack(&snapshot)
                    .map_err(|error| format!("{}: {error}", snapshots.path(&snapshot).display()))
            });
            unpacked.await.map_err(said)??
        }
    };
    vault.examine(copy).await.map_err(|error| match error {
        Error::Upload(CheckError::Refused(Refusal::Unlike(what) | Refusal::Wrong(what))) => {
            format!("the collection to restore {what}; nothing was changed")
        }
        Error::Upload(CheckError::Refused(_)) => {
            "the file to restore is not an Anki collection, or is damaged; nothing was changed"
                .to_owned()
        }
        error => error.to_string(),
    })
}

async fn receive(vault: &Arc<Vault>, bytes: u64, rest: &mut Rest) -> Result<NamedTempFile, String> {
    let mut file = vault.upload_file().map_err(said)?;
    let mut rest = rest.take(bytes);
    while rest.limit() > 0 {
        let mut block = Vec::new();
        let read = (&mut rest).take(BLOCK).read_to_end(&mut block).await;
        if read.map_err(said)? == 0 {
            return Err("the file to restore was not sent completely; try again".to_owned());
        }
        let written = spawn_blocking(move || file.write_all(&block).map(|()| file)).await;
        file = written.map_err(said)?.map_err(said)?;
    }
    Ok(file.into_inner())
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
