//! The files that list users, and how the server learns of a change.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::super::context::{CommandError, Context};
use crate::{
    account::{
        compare,
        name::UserName,
        users_file::{self, Document, EditError, UsersFile},
    },
    config::{LONG_CREDENTIAL, Settings, bring_back},
    control::{UserReport, ask, client::AskError},
    durable::Replacement,
};

/// All lists that can be edited. New users go into the first one.
pub struct Lists {
    settings: Settings,
    base: PathBuf,
    files: Vec<List>,
}

pub struct List {
    path: PathBuf,
    /// Whether the server only has a copy, so that the request has to contain the text.
    is_credential: bool,
}

pub struct Change {
    /// Why the server did not take the change over.
    unknown: Option<AskError>,
    /// Why the change may not be on the disk.
    doubt: Option<String>,
}

impl Change {
    /// Reports these problems at the end, after what was done.
    pub fn confirm(self) -> Result<(), CommandError> {
        self.doubt
            .map_or(Ok(()), |doubt| Err(CommandError::Failed(doubt)))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unknown {
            None => f.write_str("The running server has been updated."),
            Some(why) => write!(
                f,
                "The change takes effect when the server starts next: {why}."
            ),
        }
    }
}

impl Lists {
    /// Fails when the settings have mistakes, or no list of users can be edited.
    pub fn of(context: &Context) -> Result<Self, CommandError> {
        let settings = context.settings().map_err(|problems| {
            // If there is no list at all, that is the only problem to report.
            let missing = context.missing_list().filter(|_| {
                problems
                    .0
                    .iter()
                    .all(|problem| problem.setting == "SYNC_USER1")
            });
            missing.map_or(CommandError::Settings(problems), |path| {
                CommandError::Refused(format!(
                    "{} does not exist: {}, then try again",
                    path.display(),
                    bring_back(&path.display().to_string())
                ))
            })
        })?;
        if settings.user_lists.from_environment {
            return Err(CommandError::Refused(
                "the users are set by SYNC_USER1 and so on in the environment, which overrides any list: change them there and restart the server".to_owned(),
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
        let files: Vec<_> = named.chain(passed).collect();
        if files.is_empty() {
            return Err(CommandError::Refused(
                "there is no list of users: create a file, and set `users_file` in the configuration file to its path".to_owned(),
            ));
        }
        // A running server knows its base folder for certain.
        let base = match context.ask(ask::Base {}) {
            Ok(base) => base,
            // The server would keep the users that it has.
            Err(error @ AskError::Silent { .. }) => return Err(error.into()),
            Err(_) => settings.base.clone(),
        };
        let lists = Self {
            settings,
            base,
            files,
        };
        lists.catch_up(context)?;
        Ok(lists)
    }

    /// Makes the server take over the change of an earlier command that was killed before it could
    /// report it.
    fn catch_up(&self, context: &Context) -> Result<(), CommandError> {
        let salt = format!("{:?}", SystemTime::now());
        let digest = compare::digest(&self.settings.users.able, &salt);
        if context.ask(ask::SameUsers { salt, digest }).unwrap_or(true) {
            return Ok(());
        }
        let credential = self.files.iter().find(|list| list.is_credential);
        if let Some(list) = credential {
            list.check_is_the_servers(context, &self.settings)?;
        }
        let text = credential
            .map(|list| users_file::read(&list.path))
            .transpose()?;
        // If the server refuses, the next change reports why.
        if context.ask(ask::Reload { users: text }).is_ok() {
            eprintln!(
                "anki-syncd: the users of the running server differed from the list, so the server has read the list again"
            );
        }
        Ok(())
    }

    /// The list for a new user.
    pub fn for_new(&self, name: &UserName) -> Result<&List, CommandError> {
        if let Some(place) = self.place(name) {
            return Err(CommandError::Refused(format!(
                "the user {name} exists already: {place}"
            )));
        }
        let mut mistakes = self.settings.users.mistakes.iter();
        if let Some(mistake) = mistakes.find(|mistake| mistake.user.as_ref() == Some(name)) {
            return Err(CommandError::Refused(format!(
                "{name} is listed already, but the entry has a mistake. {mistake}. `anki-syncd user passwd {name}` sets a new password"
            )));
        }
        self.files
            .first()
            .ok_or_else(|| CommandError::Refused("there is no list of users".to_owned()))
    }

    pub fn having(&self, name: &UserName) -> Result<&List, CommandError> {
        let mut having = Vec::new();
        for list in &self.files {
            if UsersFile::open(&list.path)?.document.contains(name) {
                having.push(list);
            }
        }
        match having[..] {
            [list] => return Ok(list),
            [] => {}
            _ => {
                return Err(CommandError::Refused(
                    EditError::Twice(name.clone()).to_string(),
                ));
            }
        }
        let mut mistakes = self.settings.users.mistakes.iter();
        let mistake = mistakes.find(|mistake| mistake.user.as_ref() == Some(name));
        let place = self.place(name);
        Err(CommandError::Refused(
            match place.or(mistake.map(|mistake| &mistake.place)) {
                Some(place) => {
                    format!("{name} is set by {place}: change that and restart the server")
                }
                None => format!("there is no user {name}; `anki-syncd user list` shows them"),
            },
        ))
    }

    pub fn data_of(&self, name: &UserName) -> PathBuf {
        self.base.join(name.as_str())
    }

    fn place(&self, name: &UserName) -> Option<&String> {
        self.settings.user_lists.places.get(name)
    }
}

impl List {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The credential of a unit can come from elsewhere, such as an encrypted file. Sending this
    /// list to its server would log out all users.
    fn check_is_the_servers(
        &self,
        context: &Context,
        settings: &Settings,
    ) -> Result<(), CommandError> {
        let users = context.ask(ask::Users {}).unwrap_or_default();
        let is_listed = |user: &UserReport| settings.users.able.contains_key(&user.name);
        if users.is_empty() || users.iter().any(is_listed) {
            return Ok(());
        }
        Err(CommandError::Refused(format!(
            "the running server's users do not match {}. If the server gets its users in another way, such as LoadCredentialEncrypted=, change them there. If the file has been rewritten, let the server read it first: systemctl restart anki-syncd",
            self.path.display()
        )))
    }

    /// Tries a change without writing it. The file stays locked as long as the result lives.
    pub fn edit(
        &self,
        edit: impl FnOnce(&mut Document) -> Result<(), EditError>,
    ) -> Result<UsersFile, CommandError> {
        let mut file = UsersFile::open(&self.path)?;
        edit(&mut file.document).map_err(|error| CommandError::Refused(error.to_string()))?;
        Ok(file)
    }

    /// Whether the file has exactly this content.
    fn is(&self, document: &Document) -> bool {
        fs::read(&self.path).is_ok_and(|bytes| bytes == document.bytes())
    }

    /// Warns that the list will soon be too long for systemd to load.
    pub fn nearly_too_long(&self) -> Option<String> {
        let bytes = self.path.metadata().ok()?.len();
        (self.is_credential && bytes >= LONG_CREDENTIAL).then(|| {
            format!(
                "warning: {} is {} KB large. systemd does not load a credential of more than 1 MB, and the server then does not start (exit status 243). Move the users to a file that the server's account can read, and set `users_file` in the configuration file to its path.",
                self.path.display(),
                bytes / 1000
            )
        })
    }

    /// Changes the file and reports the change to the server.
    ///
    /// Fails when the file cannot be changed, or when the server does not take the change over.
    pub fn change(
        &self,
        context: &Context,
        edit: impl FnOnce(&mut Document) -> Result<(), EditError>,
    ) -> Result<Change, CommandError> {
        let file = self.edit(edit)?;
        let prepared = file.prepare()?;
        self.put(context, &file, prepared)
    }

    /// Replaces the file with the prepared one, and reports the change to the server.
    pub fn put(
        &self,
        context: &Context,
        file: &UsersFile,
        prepared: Replacement,
    ) -> Result<Change, CommandError> {
        let doubt = match prepared.commit() {
            Ok(()) => None,
            // The file is in place, but perhaps not on the disk. The server must use the same list
            // that other programs read.
            Err(error) if self.is(&file.document) => Some(format!(
                "{} has been changed, but the disk reported an error while saving: {error}. After a power cut, the old list may be back; `anki-syncd user list` shows it. Check the disk",
                self.path.display()
            )),
            Err(error) => {
                return Err(CommandError::Refused(format!(
                    "{} cannot be replaced, so nothing was changed: {error}",
                    self.path.display()
                )));
            }
        };
        let text = String::from_utf8_lossy(&file.document.bytes()).into_owned();
        let unknown = self.report(context, text)?;
        Ok(Change { unknown, doubt })
    }

    /// Sends the server the new content of the file. Returns the reason if no server answers.
    fn report(&self, context: &Context, text: String) -> Result<Option<AskError>, CommandError> {
        let users = self.is_credential.then_some(text);
        let request = ask::Reload { users };
        let told = match context.ask(request.clone()) {
            // The server may have ended, and systemd starts it again. Sending the request twice
            // does no harm.
            Err(AskError::Broken(_)) => context.ask(request),
            told => told,
        };
        let path = self.path.display();
        match told {
            Ok(_) => Ok(None),
            Err(error @ (AskError::NotRunning { .. } | AskError::CannotStart(_))) => {
                Ok(Some(error))
            }
            Err(error @ (AskError::Broken(_) | AskError::Silent { .. })) => {
                Err(CommandError::Failed(format!(
                    "{path} has been changed, but the running server may not have read it: {error}. `anki-syncd check` compares the two. To make the server read the list: systemctl restart anki-syncd"
                )))
            }
            Err(error) => Err(CommandError::Refused(format!(
                "{path} has been changed, but the running server keeps its former users, which `anki-syncd user list` shows: {error}. Once that is fixed, the next `anki-syncd user` command or a restart makes the server read the list"
            ))),
        }
    }
}
