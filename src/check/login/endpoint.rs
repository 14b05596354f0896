//! What is typed into Anki, taken apart as clients do.

use hyper::Uri;

/// What an address leads to.
pub struct Endpoint {
    host: String,
    port: u16,
    path: String,
    tls: bool,
}

/// Why an address leads nowhere.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has no host, or is neither http nor https.
    #[error("is not an address that Anki accepts")]
    Invalid,
    /// Or a client with another idea of it asks elsewhere.
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
            "" | ":" => {
                if tls {
                    443
                } else {
                    80
                }
            }
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

    pub fn secured(&self) -> Self {
        Self {
            host: self.host.clone(),
            path: self.path.clone(),
            tls: true,
            ..*self
        }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As requests name it.
    pub fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// Below which clients ask: they drop what comes after the last slash.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether something comes after the last slash.
    pub fn lacks_slash(&self) -> bool {
        self.path.len() > 1 && !self.path.ends_with('/')
    }

    /// Whether what clients add themselves is there already.
    pub fn ends_in_sync(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        ["/sync", "/msync"].iter().any(|end| path.ends_with(end))
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

/// The address as findings show it, which go to logs and tickets: without what may be a password.
/// In a path that has an @, too much is left out rather than too little.
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
