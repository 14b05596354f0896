//! Reads the settings again while the server runs.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex as StdMutex, PoisonError},
};

use tokio::{sync::Mutex, task::spawn_blocking};

use super::{fixed::Fixed, notify};
use crate::{
    account::{changes::Moved, users::Standing},
    config::{Settings, Sources, UserLists, problem::Problems},
    files::Stamp,
    state::Server,
};

/// Logs settings that are probably a mistake, and users that are shut out by a mistake.
pub fn log_warnings(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Reads the settings again from their sources.
pub struct Reloader {
    server: Arc<Server>,
    sources: Mutex<Sources>,
    fixed: Fixed,
    warnings: StdMutex<Vec<String>>,
    /// The file when it was last read, successfully or not.
    users_file: StdMutex<Option<(PathBuf, Option<Stamp>)>>,
}

impl Reloader {
    /// For a server whose settings came from these sources, with these warnings and lists of users.
    pub fn new(
        server: Arc<Server>,
        sources: Sources,
        fixed: Fixed,
        warnings: Vec<String>,
        lists: &UserLists,
    ) -> Self {
        Self {
            server,
            sources: Mutex::new(sources),
            fixed,
            warnings: StdMutex::new(warnings),
            users_file: StdMutex::new(users_file(lists)),
        }
    }

    /// The warnings about the present settings.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The users file, if there is one, with its stamp when it was last read.
    pub fn users_file(&self) -> Option<(PathBuf, Option<Stamp>)> {
        let users_file = self.users_file.lock();
        users_file.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over users and policy, if all settings are valid. The address and the data folder stay
    /// as they were at the start. After a mistake, which is also logged, nothing changes.
    pub async fn reload(&self) -> Result<(), Problems> {
        let sources = self.sources.lock().await;
        self.apply(&sources).await
    }

    /// The same, with this text instead of the credential that lists the users, now and at every
    /// later reload: systemd passes a new credential only to a new process. Refused if this server
    /// takes its users from elsewhere.
    pub async fn replace_users(&self, text: String) -> Result<(), Problems> {
        let mut sources = self.sources.lock().await;
        let present = sources.clone();
        if let Ok(Some(elsewhere)) = spawn_blocking(move || elsewhere(&present)).await {
            let mut problems = Problems::default();
            problems.add("users", elsewhere);
            return Err(problems);
        }
        let former = sources.users.replace(text);
        let applied = self.apply(&sources).await;
        if applied.is_err() {
            sources.users = former;
        }
        applied
    }

    async fn apply(&self, sources: &Sources) -> Result<(), Problems> {
        notify::reloading();
        let applied = self.take_over(sources).await;
        if let Err(problems) = &applied {
            for problem in &problems.0 {
                tracing::error!(
                    "not reloaded, so the former settings and users stay in use: {problem}"
                );
            }
        }
        notify::ready();
        applied
    }

    async fn take_over(&self, sources: &Sources) -> Result<(), Problems> {
        self.look_at_users_file().await;
        let sources = sources.clone();
        let settings = match spawn_blocking(move || Settings::load_to_serve(&sources)).await {
            Ok(loaded) => loaded?,
            Err(panicked) => return Err(problem(&panicked)),
        };
        // The data move first, so that a login with the new name finds them.
        let renamed = self.move_data(&settings).await?;
        self.adopt(settings, &renamed);
        self.remember().await;
        Ok(())
    }

    fn adopt(&self, mut settings: Settings, renamed: &[Moved]) {
        settings.warnings.extend(self.fixed.remarks(&settings));
        let now = settings.all_warnings();
        log_warnings(&now);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        *warnings = now;
        drop(warnings);
        let files = users_file(&settings.user_lists);
        let mut known = self
            .users_file
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if files.as_ref().map(|file| &file.0) != known.as_ref().map(|file| &file.0) {
            *known = files;
        }
        drop(known);
        self.server.change_policy((&settings).into());
        self.server.vaults.retain(settings.retention);
        let accounts = &self.server.accounts;
        let able = settings.users.able.keys();
        let come_back = able.filter(|user| !accounts.contains(user));
        // A user who was shut out by a mistake is not new.
        let is_new = |user: &_| accounts.standing(user) == Standing::Stranger;
        self.server.vaults.welcome(come_back, is_new);
        for change in accounts.replace(settings.users, renamed) {
            tracing::info!(user = change.user().as_str(), "{change}");
        }
        tracing::info!(
            "settings and users have been reloaded; {} can log in",
            accounts.count()
        );
    }

    /// The stamp is taken before the file is read, so that a change during the read is noticed
    /// later.
    async fn look_at_users_file(&self) {
        let Some((path, _)) = self.users_file() else {
            return;
        };
        let seen = spawn_blocking(move || {
            let stamp = Stamp::at(&path);
            (path, stamp)
        });
        if let Ok(seen) = seen.await {
            *self
                .users_file
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
    }

    /// Records the users who have been served. Call this after the data have moved.
    async fn remember(&self) {
        let server = Arc::clone(&self.server);
        let remembered = spawn_blocking(move || {
            let users: Vec<_> = server
                .accounts
                .users()
                .into_iter()
                .map(|user| user.0)
                .collect();
            let standing = |user: &_| server.accounts.standing(user);
            server.vaults.remember(&users, standing)
        });
        if let Ok(Err(error)) = remembered.await {
            tracing::warn!(%error, "cannot save which users have synced with this server");
        }
    }

    async fn move_data(&self, settings: &Settings) -> Result<Vec<Moved>, Problems> {
        let standing = |user: &_| settings.users.standing(user);
        let followed = self.server.vaults.follow(standing).await;
        let followed = followed.map_err(|error| problem(&error))?;
        for moved in &followed.moved {
            self.server.accounts.devices.forget(&moved.from);
            self.server.accounts.devices.forget(&moved.to);
        }
        match followed.failed {
            Some(error) => Err(problem(&error)),
            None => Ok(followed.renamed),
        }
    }
}

fn problem(error: &dyn std::fmt::Display) -> Problems {
    let mut problems = Problems::default();
    problems.add("users", error);
    problems
}

fn users_file(lists: &UserLists) -> Option<(PathBuf, Option<Stamp>)> {
    let path = lists.file.clone().filter(|_| !lists.from_environment)?;
    let stamp = Stamp::at(&path);
    Some((path, stamp))
}

/// Why a list in place of the credential would have no effect.
fn elsewhere(sources: &Sources) -> Option<&'static str> {
    let settings = Settings::load(sources).ok()?;
    if settings.user_lists.from_environment {
        Some(
            "the users of this server are set by SYNC_USER1 and so on in its environment, which overrides any list: change them there and restart the server",
        )
    } else if sources.users.is_none() && sources.credential().is_none() {
        Some(
            "this server was started without a list of users as a credential: set `users_file` in its configuration file to the list",
        )
    } else {
        None
    }
}
