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
/// many or with `sync/` at the end, and some proxies pass a sub-path on.
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
        (Some(before), Some(last)) => {
            let found = Method::PATHS
                .iter()
                .find(|(prefix, name, _)| *prefix == before && *name == last);
            match found {
                Some((_, _, method)) if verb == Verb::POST => Ok(Route::Method(*method)),
                Some((_, _, Method::MediaBegin)) if verb == Verb::GET => {
                    Ok(Route::Method(Method::MediaBegin))
                }
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
    fn what_is_not_there_is_not_found_or_the_page_and_what_needs_another_verb_says_so() {
        for path in [
            "/",
            "",
            "/sync",
            "/meta",
            "/sync/nope",
            "/sync/META",
            "/msync/meta",
            "/sync/begin",
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
