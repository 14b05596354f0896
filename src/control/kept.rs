//! The operator's requests about snapshots, restores and backups.

use std::{io::Write, sync::Arc};

use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, BufReader, Take},
    net::unix::OwnedReadHalf,
    task::spawn_blocking,
};

use super::{BackedUp, Operator, Preview, RestoreFrom, ask, refusal::Refusal};
use crate::{
    account::name::UserName,
    collection::{
        file::Summary,
        upload::{self, CheckError},
    },
    vault::{Error, Vault, backup::Backup, snapshot::Snapshot},
};

const BLOCK: u64 = 1024 * 1024;

/// The data that follow the line of a request.
pub(super) type Rest = BufReader<Take<OwnedReadHalf>>;

impl Operator {
    pub(super) async fn back_up(&self, user: &UserName) -> Result<(BackedUp, Backup), Refusal> {
        let vault = self.vault_with_room(user).await?;
        let backup = vault.back_up().await?;
        let damage = backup.damage.as_ref().map(|damage| {
            tracing::warn!(user = user.as_str(), %damage, "{user}: the collection is damaged, so it was not backed up");
            format!("the collection is damaged, so it was not backed up; `anki-syncd restore {user} --list` shows earlier versions")
        });
        let answer = BackedUp {
            folder: backup.folder().to_owned(),
            collection: backup.collection,
            damage,
            media: backup.media,
        };
        Ok((answer, backup))
    }

    pub(super) async fn backup_done(&self, users: &[UserName]) -> Result<(), Refusal> {
        for user in users {
            self.vault(user).await?.backed_up().await?;
        }
        Ok(())
    }

    pub(super) async fn snapshots(&self, user: &UserName) -> Result<Vec<Snapshot>, Refusal> {
        list(&self.vault(user).await?).await
    }

    pub(super) async fn preview(
        &self,
        asked: ask::Preview,
        rest: &mut Rest,
    ) -> Result<Preview, Refusal> {
        let vault = self.vault_with_room(&asked.user).await?;
        let (_copy, restored) = examine(&vault, asked.source, rest).await?;
        let present = vault.summary().await?;
        Ok(Preview { present, restored })
    }

    pub(super) async fn restore(
        &self,
        asked: ask::Restore,
        rest: &mut Rest,
    ) -> Result<Option<Snapshot>, Refusal> {
        let ask::Restore { user, source } = asked;
        let vault = self.vault_with_room(&user).await?;
        let (copy, restored) = examine(&vault, source.clone(), rest).await?;
        let kept = vault.restore(copy).await?;
        tracing::info!(
            user = user.as_str(),
            "{user}: the operator restored {}: {} cards, {} reviews",
            match source {
                RestoreFrom::Snapshot(name) => format!("the snapshot {name}"),
                RestoreFrom::Sent(_) => "a file".to_owned(),
            },
            restored.cards,
            restored.reviews
        );
        Ok(kept)
    }

    pub(super) async fn allow_upload(&self, user: &UserName) -> Result<bool, Refusal> {
        let vault = self.vault(user).await?;
        let allowed = spawn_blocking(move || vault.allow_upload()).await;
        Ok(allowed??)
    }

    /// For requests that need disk space for a while.
    async fn vault_with_room(&self, user: &UserName) -> Result<Arc<Vault>, Refusal> {
        let vault = self.vault(user).await?;
        vault.admit(self.server.policy().room).await?;
        Ok(vault)
    }

    async fn vault(&self, user: &UserName) -> Result<Arc<Vault>, Refusal> {
        if !self.server.accounts.standing(user).is_listed() {
            return Err(Refusal::NotListed(user.clone()));
        }
        Ok(self.server.vaults.get(user).await?)
    }
}

async fn list(vault: &Arc<Vault>) -> Result<Vec<Snapshot>, Refusal> {
    let vault = Arc::clone(vault);
    let listed = spawn_blocking(move || vault.snapshots().list()).await;
    Ok(listed??)
}

async fn examine(
    vault: &Arc<Vault>,
    source: RestoreFrom,
    rest: &mut Rest,
) -> Result<(NamedTempFile, Summary), Refusal> {
    let copy = match source {
        RestoreFrom::Sent(bytes) => receive(vault, bytes, rest).await?,
        RestoreFrom::Snapshot(name) => {
            let snapshots = list(vault).await?;
            let found = snapshots
                .into_iter()
                .find(|snapshot| snapshot.name() == name);
            let snapshot = found.ok_or(Refusal::NoSnapshot(name))?;
            let vault = Arc::clone(vault);
            let unpacked = spawn_blocking(move || {
                let snapshots = vault.snapshots();
                let unpacked = snapshots.unpack(&snapshot);
                unpacked.map_err(|error| Refusal::Snapshot {
                    path: snapshots.path(&snapshot),
                    error,
                })
            });
            unpacked.await??
        }
    };
    vault.examine(copy).await.map_err(|error| match error {
        Error::Upload(CheckError::Refused(
            upload::Refusal::Unlike(what) | upload::Refusal::Wrong(what),
        )) => Refusal::Unfit(what),
        Error::Upload(CheckError::Refused(_)) => Refusal::NotACollection,
        error => Refusal::Vault(error),
    })
}

async fn receive(
    vault: &Arc<Vault>,
    bytes: u64,
    rest: &mut Rest,
) -> Result<NamedTempFile, Refusal> {
    let mut file = vault.upload_file()?;
    let mut rest = rest.take(bytes);
    while rest.limit() > 0 {
        let mut block = Vec::new();
        let read = (&mut rest).take(BLOCK).read_to_end(&mut block).await;
        if read? == 0 {
            return Err(Refusal::Truncated);
        }
        let written = spawn_blocking(move || file.write_all(&block).map(|()| file)).await;
        file = written??;
    }
    Ok(file.into_inner())
}
