//! Settings that are read again while the server runs.

use std::sync::{Arc, Mutex, PoisonError};

use super::notify;
use crate::{
    config::{Settings, Sources, problem::Problems},
    http::Server,
};

/// Tells what works, but is probably not meant.
pub fn log_warnings(settings: &Settings) {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
}

/// Reads the settings again from where they came from.
pub struct Reloader {
    server: Arc<Server>,
    sources: Mutex<Sources>,
    warnings: Mutex<Vec<String>>,
}

impl Reloader {
    /// For a server whose settings came from there, with these warnings.
    #[must_use]
    pub fn new(server: Arc<Server>, sources: Sources, warnings: Vec<String>) -> Self {
        Self {
            server,
            sources: Mutex::new(sources),
            warnings: Mutex::new(warnings),
        }
    }

    /// What in the settings in force is probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over users and policy, if all settings are valid; where to listen and where the
    /// data are stays as it was at the start.
    ///
    /// # Errors
    /// Everything that is wrong with them; all stays as it was then. It is logged as well.
    pub fn reload(&self) -> Result<(), Problems> {
        self.apply(&self.lock())
    }

    /// The same, with this text in place of the credential that lists the users, now and at
    /// every later reload: systemd passes a new one only to a new process.
    ///
    /// # Errors
    /// As [`Reloader::reload`]; also when this server takes its users from elsewhere.
    pub fn replace_users(&self, text: String) -> Result<(), Problems> {
        let mut sources = self.lock();
        if let Some(elsewhere) = elsewhere(&sources) {
            let mut problems = Problems::default();
            problems.add("users", elsewhere);
            return Err(problems);
        }
        let former = sources.users.replace(text);
        let applied = self.apply(&sources);
        if applied.is_err() {
            sources.users = former;
        }
        applied
    }

    fn apply(&self, sources: &Sources) -> Result<(), Problems> {
        notify::reloading();
        let loaded = Settings::load(sources);
        match &loaded {
            Ok(settings) => {
                log_warnings(settings);
                let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
                warnings.clone_from(&settings.warnings);
                drop(warnings);
                self.server.change_policy(settings.into());
                self.server.vaults.retain(settings.retention);
                let accounts = &self.server.accounts;
                let new = settings
                    .users
                    .keys()
                    .filter(|user| !accounts.contains(user));
                self.server.vaults.welcome(new);
                accounts.replace(settings.users.clone());
                let remembered = self.server.vaults.remember(settings.users.keys(), |user| {
                    settings.users.contains_key(user)
                });
                if let Err(error) = remembered {
                    tracing::warn!(%error, "who has been served cannot be noted");
                }
                tracing::info!(
                    "settings and users read again; {} can log in",
                    self.server.accounts.count()
                );
            }
            Err(problems) => {
                for problem in &problems.0 {
                    tracing::error!("not reloaded, everything stays as it was: {problem}");
                }
            }
        }
        notify::ready();
        loaded.map(drop)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a list of users in place of the credential would change nothing.
fn elsewhere(sources: &Sources) -> Option<&'static str> {
    let settings = Settings::load(sources).ok()?;
    if settings.user_lists.from_environment {
        Some(
            "this server is told its users by SYNC_USER1 and so on in its environment, which stand in place of any list; change them there and restart it",
        )
    } else if sources.users.is_none() && sources.credential().is_none() {
        Some(
            "this server was started without a list of users as a credential; name the list as `users_file` in its configuration file",
        )
    } else {
        None
    }
}
