//! Finds the method of a path.

use hyper::Method as Verb;

use super::method::{Keyed, Media, Method};

/// The only method that clients may also call with GET.
const BEGIN: Method = Method::Keyed(Keyed::Media(Media::Begin));

/// The targets of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Health,
    /// The page, for all other paths that a browser opens.
    Page,
    Method(Method),
}

/// Why a path has no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    NotFound,
    /// The path exists for another verb, this one.
    WrongVerb(&'static str),
}

/// Finds the method by the last two parts of the path. Other paths that a browser opens get the
/// page.
///
/// The beginning of the path does not matter: people paste addresses with an extra slash or with
/// `sync/` at the end, and some proxies pass a sub-path on. Some clients have an address for each
/// kind of method, and may have the same address for both, or the server's bare address. The name
/// alone is enough, since no two kinds share one.
pub fn route(verb: &Verb, path: &str) -> Result<Route, NoRoute> {
    let is_reading = verb == Verb::GET || verb == Verb::HEAD;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let last = parts.next_back();
    let before = parts.next_back();
    match (before, last) {
        (None, Some("health")) if is_reading => Ok(Route::Health),
        (None, Some("health")) => Err(NoRoute::WrongVerb("GET, HEAD")),
        (before, Some(last)) if before.is_none_or(is_prefix) => {
            match Method::all().find(|method| method.name() == last) {
                Some(method) if verb == Verb::POST => Ok(Route::Method(method)),
                Some(BEGIN) if verb == Verb::GET => Ok(Route::Method(BEGIN)),
                // A browser gets the page at other addresses.
                Some(method) if is_reading && before != Some(method.prefix()) => Ok(Route::Page),
                Some(BEGIN) => Err(NoRoute::WrongVerb("GET, POST")),
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

/// Whether only the slash before a method's name is missing, because the typed address lacks it at
/// its end: `/synchostKey`.
pub fn lacks_slash(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    Method::all().any(|method| last.len() > method.name().len() && last.ends_with(method.name()))
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
                Ok(Route::Method(Method::Keyed(Keyed::Meta))),
                "{path}"
            );
        }
        assert_eq!(
            route(&Verb::POST, "/sync/msync/begin"),
            Ok(Route::Method(BEGIN))
        );
    }

    #[test]
    fn a_name_is_enough_where_an_address_is_the_other_kinds_or_the_servers() {
        for before in ["", "/sync", "/msync", "/anki/sync", "/sync/msync"] {
            for method in Method::all() {
                let path = format!("{before}/{}", method.name());
                assert_eq!(
                    route(&Verb::POST, &path),
                    Ok(Route::Method(method)),
                    "{path}"
                );
            }
            let begin = route(&Verb::GET, &format!("{before}/begin"));
            assert_eq!(begin, Ok(Route::Method(BEGIN)), "{before}");
        }
        for path in ["/meta", "/msync/meta"] {
            assert_eq!(route(&Verb::GET, path), Ok(Route::Page), "{path}");
        }
        // A path of another program.
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
        assert_eq!(route(&Verb::GET, "/msync/begin"), Ok(Route::Method(BEGIN)));
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
        for method in Method::all() {
            let same = Method::all().filter(|other| other.name() == method.name());
            assert_eq!(same.collect::<Vec<_>>(), [method]);
        }
    }
}
