//! The files that list users, and how the server gets to know of a change.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::super::context::{CommandError, Context};
use crate::{
    account::{
        name::UserName,
        users_file::{Document, EditError, UsersFile},
    },
    config::Settings,
    control::{Request, Status, UserReport, client::AskError},
};

/// Every list that can be edited, the first being the one for new users.
pub struct Lists {
    settings: Settings,
    /// Where the data are.
    base: PathBuf,
    files: Vec<List>,
}

/// A file with users.
pub struct List {
    path: PathBuf,
    /// Of which the server has but a copy, so that it has to be told the text.
    is_credential: bool,
}

/// Whether the running server has taken a change over.
#[derive(Clone, Copy)]
pub enum Known {
    Now,
    WhenItStarts,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now => "The running server knows it.",
            Self::WhenItStarts => "The server is not running; it reads that when it starts.",
        })
    }
}

impl Lists {
    /// Those that the settings name.
    ///
    /// # Errors
    /// When the settings are in disorder, or users are given by other means only.
    pub fn of(context: &Context) -> Result<Self, CommandError> {
        let settings = context.settings().map_err(CommandError::Settings)?;
        if settings.user_lists.from_environment {
            return Err(CommandError::Refused(
                "the users are given by SYNC_USER1 and so on in the environment, in place of any list; change them there and restart the server".to_owned(),
            ));
        }
        let named = settings.user_lists.file.iter().map(|path| List {
            path: path.clone(),
            is_credential: false,
        });
        let passed = context.credential().map(|path| List {
            path,
            is_credential: true,
        });
        if let Some(list) = &passed {
            list.check_is_the_servers(context, &settings)?;
        }
        let files: Vec<_> = named.chain(passed).collect();
        if files.is_empty() {
            return Err(CommandError::Refused(
                "there is no file that lists users: name one as `users_file` in the configuration file, and create it".to_owned(),
            ));
        }
        // It knows better, if it runs.
        let running = context.ask(&Request::Status);
        let base = running.map_or_else(|_| settings.base.clone(), |status: Status| status.base);
        Ok(Self {
            settings,
            base,
            files,
        })
    }

    /// The list that a new user comes into.
    ///
    /// # Errors
    /// When somebody has that name.
    pub fn for_new(&self, name: &UserName) -> Result<&List, CommandError> {
        if let Some(place) = self.place(name) {
            return Err(CommandError::Refused(format!(
                "there is a user {name} already: {place}"
            )));
        }
        self.files
            .first()
            .ok_or_else(|| CommandError::Refused("there is no list of users".to_owned()))
    }

    /// The list that has this user.
    ///
    /// # Errors
    /// When none has.
    pub fn having(&self, name: &UserName) -> Result<&List, CommandError> {
        for list in &self.files {
            if UsersFile::open(&list.path)?.document.contains(name) {
                return Ok(list);
            }
        }
        Err(CommandError::Refused(match self.place(name) {
            Some(place) => {
                format!("{name} is given by {place}; change that and restart the server")
            }
            None => format!("there is no user {name}; `anki-syncd user list` shows them"),
        }))
    }

    /// Where a user's data are.
    pub fn data_of(&self, name: &UserName) -> PathBuf {
        self.base.join(name.as_str())
    }

    fn place(&self, name: &UserName) -> Option<&String> {
        self.settings.user_lists.places.get(name)
    }
}

impl List {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A unit can have its credential from elsewhere, such as an encrypted file. To tell its
    /// server that the users are those of this list would log everybody out.
    fn check_is_the_servers(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<(), CommandError> {
        let users: Vec<UserReport> = context.ask(&Request::Users).unwrap_or_default();
        let is_listed = |user: &UserReport| settings.users.contains_key(&user.name);
        if users.is_empty() || users.iter().any(is_listed) {
            return Ok(());
        }
        Err(CommandError::Refused(format!(
            "the running server has quite other users than {} lists. If it is told them in another way, such as LoadCredentialEncrypted=, change them there; if that file has been rewritten, let the server read it first: systemctl restart anki-syncd",
            self.path.display()
        )))
    }

    /// Tries a change, which is not written yet. Others wait as long as the result lives.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn edit(
        &self,
        edit: impl FnOnce(&mut Document) -> Result<(), EditError>,
    ) -> Result<UsersFile, CommandError> {
        let mut file = UsersFile::open(&self.path)?;
        edit(&mut file.document).map_err(|error| CommandError::Refused(error.to_string()))?;
        Ok(file)
    }

    /// Whether the file holds just that.
    pub fn is(&self, document: &Document) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == document.to_string())
    }

    /// Changes the file and tells the server.
    ///
    /// # Errors
    /// When the file cannot be changed; or when it was, but the server does not take it over.
    pub fn change(
        &self,
        context: &Context,
        edit: impl FnOnce(&mut Document) -> Result<(), EditError>,
    ) -> Result<Known, CommandError> {
        let file = self.edit(edit)?;
        file.prepare()?.commit()?;
        self.tell(context, &file.document.to_string())
    }

    /// Tells the server what is in the file now.
    ///
    /// # Errors
    /// When it does not take it over.
    pub fn tell(&self, context: &Context, text: &str) -> Result<Known, CommandError> {
        let users = self.is_credential.then(|| text.to_owned());
        match context.ask::<usize>(&Request::Reload { users }) {
            Ok(_) => Ok(Known::Now),
            Err(AskError::NotRunning) => Ok(Known::WhenItStarts),
            Err(error) => Err(CommandError::Refused(format!(
                "{} is changed, but the running server goes on with the users that it had: {error}",
                self.path.display()
            ))),
        }
    }
}
