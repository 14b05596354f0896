//! Which method a path means.

use hyper::Method as Verb;

const KIB: u64 = 1024;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Whether the server answers.
    Health,
    /// The page for people: whatever else a browser opens.
    Page,
    /// A method of the protocol.
    Method(Method),
}

/// The protocol's methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    HostKey,
    Meta,
    Start,
    ApplyGraves,
    ApplyChanges,
    Chunk,
    ApplyChunk,
    SanityCheck,
    Finish,
    Abort,
    Upload,
    Download,
    MediaBegin,
    MediaChanges,
    MediaUpload,
    MediaDownload,
    MediaSanity,
}

/// Why there is nothing to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// No such path.
    NotFound,
    /// The path exists for another verb, which is named.
    WrongVerb(&'static str),
}

impl Method {
    /// Whether something may be stored that nothing before it has made room for.
    #[must_use]
    pub fn begins_storing(self) -> bool {
        matches!(self, Self::Start | Self::Upload | Self::MediaUpload)
    }

    /// Whether it goes on with a normal sync that `start` began.
    #[must_use]
    pub fn continues_sync(self) -> bool {
        matches!(
            self,
            Self::ApplyGraves
                | Self::ApplyChanges
                | Self::Chunk
                | Self::ApplyChunk
                | Self::SanityCheck
                | Self::Finish
        )
    }

    /// Whether the collection may change with it, on either side.
    #[must_use]
    pub fn begins_collection_sync(self) -> bool {
        matches!(self, Self::Start | Self::Upload | Self::Download)
    }

    /// Whether a device that has done nothing yet begins to do something with it.
    #[must_use]
    pub fn begins_operation(self) -> bool {
        self.begins_collection_sync() || matches!(self, Self::Meta | Self::MediaBegin)
    }

    /// Whether it is about media.
    #[must_use]
    pub fn is_medias(self) -> bool {
        matches!(
            self,
            Self::MediaBegin
                | Self::MediaChanges
                | Self::MediaUpload
                | Self::MediaDownload
                | Self::MediaSanity
        )
    }

    /// How many bytes its body may have once decoded, apart from the limit in the settings.
    #[must_use]
    pub fn largest_body(self) -> u64 {
        match self {
            Self::HostKey => 16 * KIB,
            // A few numbers, and whatever an empty request is padded with; or 25 names of 255 bytes,
            // each of which may be written as \u0000.
            Self::Meta
            | Self::Chunk
            | Self::SanityCheck
            | Self::Finish
            | Self::Abort
            | Self::Download
            | Self::MediaBegin
            | Self::MediaChanges
            | Self::MediaSanity
            | Self::MediaDownload => 64 * KIB,
            // Some clients send everything that was ever deleted at once: two million ids.
            Self::Start | Self::ApplyGraves => 32 * 1024 * KIB,
            Self::ApplyChanges | Self::ApplyChunk | Self::Upload | Self::MediaUpload => u64::MAX,
        }
    }

    const PATHS: [(&'static str, &'static str, Self); 17] = [
        ("sync", "hostKey", Self::HostKey),
        ("sync", "meta", Self::Meta),
        ("sync", "start", Self::Start),
        ("sync", "applyGraves", Self::ApplyGraves),
        ("sync", "applyChanges", Self::ApplyChanges),
        ("sync", "chunk", Self::Chunk),
        ("sync", "applyChunk", Self::ApplyChunk),
        ("sync", "sanityCheck2", Self::SanityCheck),
        ("sync", "finish", Self::Finish),
        ("sync", "abort", Self::Abort),
        ("sync", "upload", Self::Upload),
        ("sync", "download", Self::Download),
        ("msync", "begin", Self::MediaBegin),
        ("msync", "mediaChanges", Self::MediaChanges),
        ("msync", "uploadChanges", Self::MediaUpload),
        ("msync", "downloadFiles", Self::MediaDownload),
        ("msync", "mediaSanity", Self::MediaSanity),
    ];

    /// The method's name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::PATHS
            .iter()
            .find(|(_, _, method)| *method == self)
            .map_or("", |(_, name, _)| name)
    }
}

/// Finds the method by the last two parts of the path; what a browser opens beside them is the
/// page.
///
/// What comes before them does not matter: people paste addresses with a slash too
/// many or with `sync/` at the end, and some proxies pass a sub-path on. Clients with an address
/// for each kind of method may have been given the same for both, or the server's bare address:
/// no name is one of both kinds, so that it is enough.
///
/// # Errors
/// [`NoRoute`].
pub fn route(verb: &Verb, path: &str) -> Result<Route, NoRoute> {
    let is_reading = verb == Verb::GET || verb == Verb::HEAD;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let last = parts.next_back();
    let before = parts.next_back();
    match (before, last) {
        (None, Some("health")) if is_reading => Ok(Route::Health),
        (None, Some("health")) => Err(NoRoute::WrongVerb("GET, HEAD")),
        (before, Some(last)) if before.is_none_or(is_prefix) => {
            let found = Method::PATHS.iter().find(|(_, name, _)| *name == last);
            match found {
                Some((_, _, method)) if verb == Verb::POST => Ok(Route::Method(*method)),
                Some((_, _, Method::MediaBegin)) if verb == Verb::GET => {
                    Ok(Route::Method(Method::MediaBegin))
                }
                // Whoever opens another one in a browser is helped by the page.
                Some((prefix, _, _)) if is_reading && before != Some(prefix) => Ok(Route::Page),
                Some((_, _, Method::MediaBegin)) => Err(NoRoute::WrongVerb("GET, POST")),
                Some(_) => Err(NoRoute::WrongVerb("POST")),
                None if is_reading => Ok(Route::Page),
                None => Err(NoRoute::NotFound),
            }
        }
        _ if is_reading => Ok(Route::Page),
        _ => Err(NoRoute::NotFound),
    }
}

fn is_prefix(part: &str) -> bool {
    part == "sync" || part == "msync"
}

/// Whether a path is that of a method but for the slash before its name, which an address lacks
/// at its end: `/synchostKey`.
#[must_use]
pub fn lacks_slash(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    Method::PATHS
        .iter()
        .any(|(_, name, _)| last.len() > name.len() && last.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_found_however_the_address_was_pasted() {
        for path in [
            "/sync/meta",
            "//sync/meta",
            "/sync//meta",
            "/sync/sync/meta",
            "/msync/sync/meta",
            "/anki/sync/meta",
        ] {
            assert_eq!(
                route(&Verb::POST, path),
                Ok(Route::Method(Method::Meta)),
                "{path}"
            );
        }
        assert_eq!(
            route(&Verb::POST, "/sync/msync/begin"),
            Ok(Route::Method(Method::MediaBegin))
        );
    }

    #[test]
    fn a_name_is_enough_where_an_address_is_the_other_kinds_or_the_servers() {
        for before in ["", "/sync", "/msync", "/anki/sync", "/sync/msync"] {
            for (_, name, method) in Method::PATHS {
                let path = format!("{before}/{name}");
                assert_eq!(
                    route(&Verb::POST, &path),
                    Ok(Route::Method(method)),
                    "{path}"
                );
            }
            let begin = route(&Verb::GET, &format!("{before}/begin"));
            assert_eq!(begin, Ok(Route::Method(Method::MediaBegin)), "{before}");
        }
        for path in ["/meta", "/msync/meta"] {
            assert_eq!(route(&Verb::GET, path), Ok(Route::Page), "{path}");
        }
        // That of other programs.
        assert_eq!(route(&Verb::POST, "/api/upload"), Err(NoRoute::NotFound));
    }

    #[test]
    fn a_missing_slash_is_seen() {
        for path in ["/synchostKey", "/anki/synchostKey", "/msyncbegin"] {
            assert!(lacks_slash(path), "{path}");
            assert_eq!(route(&Verb::POST, path), Err(NoRoute::NotFound), "{path}");
        }
        for path in ["/", "/sync/hostKey", "/anki/sync/", "/wp-login.php"] {
            assert!(!lacks_slash(path), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found_or_the_page_and_what_needs_another_verb_says_so() {
        for path in [
            "/",
            "",
            "/sync",
            "/sync/nope",
            "/sync/META",
            "/anki/meta",
            "/sync/health",
        ] {
            assert_eq!(route(&Verb::POST, path), Err(NoRoute::NotFound), "{path}");
            assert_eq!(route(&Verb::GET, path), Ok(Route::Page), "{path}");
            assert_eq!(route(&Verb::HEAD, path), Ok(Route::Page), "{path}");
        }
        assert_eq!(
            route(&Verb::GET, "/sync/meta"),
            Err(NoRoute::WrongVerb("POST"))
        );
        assert_eq!(
            route(&Verb::GET, "/msync/begin"),
            Ok(Route::Method(Method::MediaBegin))
        );
        assert_eq!(
            route(&Verb::PUT, "/msync/begin"),
            Err(NoRoute::WrongVerb("GET, POST"))
        );
        assert_eq!(
            route(&Verb::POST, "/health"),
            Err(NoRoute::WrongVerb("GET, HEAD"))
        );
        assert_eq!(route(&Verb::HEAD, "/health"), Ok(Route::Health));
    }

    #[test]
    fn every_method_has_its_own_name() {
        for (_, name, method) in Method::PATHS {
            assert_eq!(method.name(), name);
        }
    }
}
