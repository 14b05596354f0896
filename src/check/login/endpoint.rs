//! The address as typed into Anki, and its parts as clients understand them.

use hyper::Uri;

/// The parts of an address.
#[derive(Clone)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    path: String,
    pub tls: bool,
}

/// Why Anki cannot use an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has no host, or is neither http nor https.
    #[error("is not an address that Anki accepts")]
    Invalid,
    /// Clients differ in how they read such a port.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
}

impl Endpoint {
    pub fn new(url: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.parse().map_err(|_| AddressError::Invalid)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(AddressError::Invalid),
        };
        let authority = uri.authority().ok_or(AddressError::Invalid)?;
        let (host, at) = (authority.host(), authority.as_str());
        let at = at.rsplit_once('@').map_or(at, |(_, at)| at);
        let port = match at.strip_prefix(host).unwrap_or_default() {
            "" | ":" if tls => 443,
            "" | ":" => 80,
            // Rust alone would read `+80`, too.
            port if port.contains('+') => return Err(AddressError::Port),
            port => match port.trim_start_matches(':').parse() {
                Ok(0) | Err(_) => return Err(AddressError::Port),
                Ok(port) => port,
            },
        };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            path: uri.path().to_owned(),
            tls,
        })
    }

    /// The value of the header `Host`.
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// The path that clients append to: they drop everything after the last slash.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether clients drop a part of the path.
    pub fn lacks_slash(&self) -> bool {
        self.path.len() > 1 && !self.path.ends_with('/')
    }

    /// Whether the path already ends in a part that clients append themselves.
    pub fn ends_in_sync(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        ["/sync", "/msync"].iter().any(|end| path.ends_with(end))
    }
}

/// The address without a password, for findings, which people put into logs and tickets. If the
/// path contains an @, it removes too much rather than too little.
pub fn shown(url: &str) -> String {
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| url.starts_with(scheme))
        .unwrap_or_default();
    match url[scheme.len()..].rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_the_one_that_is_written_or_the_usual_one() {
        let port = |url: &str| Endpoint::new(url).map(|place| place.port);
        for (url, expected) in [
            ("http://host/", 80),
            ("https://host/", 443),
            ("https://host:/", 443),
            ("http://host:8080/a/", 8080),
            ("http://[::1]/", 80),
            ("http://[::1]:8080/", 8080),
            ("https://user:1@host:65535/", 65535),
        ] {
            assert_eq!(port(url), Ok(expected), "{url}");
        }
        for url in [
            "http://host:99999/",
            "http://host:0/",
            "http://host:http/",
            "http://host:-1/",
            "http://host:+80/",
            "http://[::1]:65536/",
            "http://user:1@host:65536/",
        ] {
            assert_eq!(port(url), Err(AddressError::Port), "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, expected) in [
            ("https://anna:secret@host/", "https://…@host/"),
            ("https://anna:secret@host:99999/a", "https://…@host:99999/a"),
            ("https://anna:1/secret@host/", "https://…@host/"),
            ("https://anna:se@cret@host/", "https://…@host/"),
            ("http://anna:se#cret@host/", "http://…@host/"),
            ("https://anna:se cret@host/", "https://…@host/"),
            ("ftp://anna:secret@host/", "…@host/"),
            ("anna:secret@host", "…@host"),
            ("a:se://cret@host", "…@host"),
            ("https://host/@anna/", "https://…@anna/"),
            ("https://host/", "https://host/"),
            ("localhost:8080", "localhost:8080"),
            ("", ""),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }
}
