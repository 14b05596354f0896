//! The protocol's methods. Each kind has a file with the methods' names, callers, body limits,
//! requests and answers.
//!
//! No `match` over methods has a wildcard, since a new method would be answered like another one;
//! `wildcard_enum_match_arm` in `src/http/mod.rs` enforces that. The compiler warns of a method
//! that is missing in `ALL`, since nothing else creates most of them.

mod call;
mod full;
pub mod login;
mod media;
mod meta;
mod normal;
mod rules;

use std::iter;

use super::{
    body::{BodyLimits, envelope::Content},
    deed::Step,
};
use crate::{config::Limits, vault};
use call::Answer;
use rules::Rules;

pub use call::Call;
pub use full::Full;
pub use media::Media;
pub use normal::Normal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `hostKey`: needs a name and a password.
    HostKey,
    /// All other methods: they need a host key.
    Keyed(Keyed),
}

/// The methods of a device that has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    Meta,
    /// A normal sync of the collection.
    Normal(Normal),
    Full(Full),
    Media(Media),
}

impl Method {
    pub fn all() -> impl Iterator<Item = Self> {
        let keyed = iter::once(Keyed::Meta)
            .chain(Normal::ALL.map(Keyed::Normal))
            .chain(Full::ALL.map(Keyed::Full))
            .chain(Media::ALL.map(Keyed::Media));
        iter::once(Self::HostKey).chain(keyed.map(Self::Keyed))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::HostKey => login::NAME,
            Self::Keyed(method) => method.rules().name,
        }
    }

    /// The first part of its path, before the name.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::HostKey | Self::Keyed(Keyed::Meta | Keyed::Normal(_) | Keyed::Full(_)) => "sync",
            Self::Keyed(Keyed::Media(_)) => "msync",
        }
    }

    /// The limits of its body.
    pub fn limits(self, limits: &Limits) -> BodyLimits {
        match self {
            Self::HostKey => BodyLimits::of_stranger(limits, login::LARGEST_BODY),
            Self::Keyed(method) => BodyLimits::of_device(limits, method.rules().largest_body),
        }
    }
}

impl Keyed {
    pub fn rules(self) -> Rules {
        match self {
            Self::Meta => meta::rules(),
            Self::Normal(method) => method.rules(),
            Self::Full(method) => method.rules(),
            Self::Media(method) => method.rules(),
        }
    }

    /// Nothing of the body is stored if the request is refused here.
    pub async fn answer(self, call: &Call<'_>, content: Content) -> Answer {
        let rules = self.rules();
        if rules.begins_storing
            && let Err(error) = call.vault.admit(call.policy.room).await
        {
            // Read to its end, or the client would not see the answer.
            content.receive(std::io::sink()).await?;
            return Err(error.into());
        }
        if rules.step == Step::Continue && !call.vault.is_under_way(&call.speaker()) {
            content.read_to_end().await?;
            return Err(vault::Error::NotInSync.into());
        }
        match self {
            Self::Meta => meta::answer(call, content).await,
            Self::Normal(method) => method.answer(call, content).await,
            Self::Full(method) => method.answer(call, content).await,
            Self::Media(method) => method.answer(call, content).await,
        }
    }
}
