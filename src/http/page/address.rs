//! The address that people type into Anki, taken from a request for the page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::{HeaderMap, Request, Version, header::HOST, http::uri::Authority};

use crate::http::client_address::parameter_of;

/// Shown if a request does not contain a host name, which is rare.
const NAMELESS: &str = "name-of-the-server:8080";

/// Headers that proxies add to a request, whether or not the proxy is trusted.
const BY_PROXIES: [&str; 7] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];

/// A longer path is not treated as a sub-path.
const LONGEST_PATH: usize = 200;

/// The address to type, and its properties.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    /// Scheme, host and path, with a slash at the end.
    pub text: String,
    /// Whether it is the opened address itself, and not its parent.
    pub is_exact: bool,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// The kind of its host.
    pub host: Host,
    /// Whether a proxy seems to have passed the request on, so that the opened address may differ.
    pub is_proxied: bool,
}

/// The kind of an address's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The server, for every device that reaches it.
    Server,
    /// The device itself on which it is typed.
    Loopback,
    /// The request contained no host.
    Unknown,
}

impl Address {
    /// The address, from the request. Headers of proxies only count if the proxy is trusted.
    pub fn of<B>(request: &Request<B>, is_proxy_trusted: bool) -> Self {
        let proxy = ProxyHeaders {
            headers: is_proxy_trusted.then_some(request.headers()),
        };
        let is_encrypted = proxy
            .header("x-forwarded-proto")
            .or_else(|| proxy.forwarded("proto"))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let host = proxy
            .header("x-forwarded-host")
            .or_else(|| proxy.forwarded("host"))
            .and_then(host)
            .or_else(|| request.uri().authority().and_then(|it| host(it.as_str())))
            .or_else(|| host(request.headers().get(HOST)?.to_str().ok()?));
        let prefix = proxy
            .header("x-forwarded-prefix")
            .and_then(|prefix| folder(&format!("{prefix}/")))
            .unwrap_or_default();
        let path = request.uri().path();
        let base = folder(path).unwrap_or_default();
        let scheme = if is_encrypted { "https" } else { "http" };
        let name = host.as_ref().map_or(NAMELESS, Authority::as_str);
        let host = match &host {
            Some(host) if is_loopback(host.host()) => Host::Loopback,
            Some(_) => Host::Server,
            None => Host::Unknown,
        };
        Self {
            text: format!("{scheme}://{name}{prefix}{base}/"),
            is_exact: path == format!("{base}/"),
            is_encrypted,
            host,
            is_proxied: is_proxied(request) || is_proxy_trusted && host != Host::Loopback,
        }
    }
}

/// Headers of trusted proxies. The first value is from the proxy that spoke with the client.
struct ProxyHeaders<'a> {
    headers: Option<&'a HeaderMap>,
}

impl<'a> ProxyHeaders<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        let value = self.headers?.get(name)?.to_str().ok()?;
        value.split(',').next().map(str::trim)
    }

    fn forwarded(&self, parameter: &str) -> Option<&'a str> {
        parameter_of(self.header("forwarded")?, parameter)
    }
}

/// Browsers use HTTP/1.1, some proxies only HTTP/1.0.
fn is_proxied<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_10
        || BY_PROXIES
            .iter()
            .any(|name| request.headers().contains_key(*name))
}

/// A host as it may be part of an address, without a user's name in front.
fn host(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    (!authority.as_str().contains('@') && !authority.host().is_empty()).then_some(authority)
}

/// The folder of a path, in which a client looks for its methods: without double slashes, and
/// without `sync/` and `msync/`, which clients add themselves. None if it is not plain.
fn folder(path: &str) -> Option<String> {
    let (path, _file) = path.rsplit_once('/')?;
    let mut parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    while let Some(&("sync" | "msync")) = parts.last() {
        parts.pop();
    }
    let is_plain = |part: &&str| {
        !part.starts_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte))
    };
    let is_every_part_plain = parts.iter().all(is_plain);
    // Adds a slash in front, unless the path is empty.
    parts.insert(0, "");
    let folder = parts.join("/");
    (is_every_part_plain && folder.len() <= LONGEST_PATH).then_some(folder)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| {
            address.is_loopback()
                || [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].contains(&address)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(path: &str, is_proxy_trusted: bool, headers: &[(&str, &str)]) -> Address {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Address::of(&request.body(()).unwrap(), is_proxy_trusted)
    }

    fn text(path: &str, is_proxy_trusted: bool, headers: &[(&str, &str)]) -> String {
        address(path, is_proxy_trusted, headers).text
    }

    #[test]
    fn the_address_is_the_host_that_was_asked_for() {
        for (host, expected) in [
            ("192.0.2.1:8080", "http://192.0.2.1:8080/"),
            ("[2001:db8::1]:8080", "http://[2001:db8::1]:8080/"),
            ("Anki.example.org", "http://Anki.example.org/"),
        ] {
            assert_eq!(text("/", false, &[("host", host)]), expected);
        }
        assert_eq!(
            text("http://proxied.example/", false, &[("host", "other")]),
            "http://proxied.example/"
        );
    }

    #[test]
    fn a_host_that_is_none_is_not_repeated() {
        for host in [
            "",
            ":80",
            "user@example.org",
            "example.org/path",
            "<script>alert(1)</script>",
            "a\"onclick=\"x",
            "a b",
            "a:b:c",
        ] {
            assert_eq!(
                text("/", true, &[("host", host)]),
                "http://name-of-the-server:8080/",
                "{host}"
            );
        }
        assert_eq!(text("/", false, &[]), "http://name-of-the-server:8080/");
    }

    #[test]
    fn what_a_trusted_proxy_says_counts() {
        let proxied = [
            ("host", "127.0.0.1:8080"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.org:8443, inner"),
            ("x-forwarded-prefix", "/anki"),
        ];
        assert_eq!(text("/", true, &proxied), "https://example.org:8443/anki/");
        let direct = address("/", false, &proxied);
        assert_eq!(direct.text, "http://127.0.0.1:8080/");
        assert_eq!(direct.host, Host::Loopback);
        assert!(!direct.is_encrypted && direct.is_exact);
    }

    #[test]
    fn forwarded_is_understood_too() {
        let proxied = [
            ("host", "inner"),
            (
                "forwarded",
                "for=192.0.2.1;proto=HTTPS;host=\"example.org:8443\", for=inner",
            ),
        ];
        assert_eq!(text("/", true, &proxied), "https://example.org:8443/");
        assert_eq!(text("/", false, &proxied), "http://inner/");
    }

    #[test]
    fn a_path_loses_what_clients_add_themselves() {
        for (path, expected, is_exact) in [
            ("/", "/", true),
            ("//", "/", false),
            ("/sync/", "/", false),
            ("/msync/", "/", false),
            ("/sync", "/", false),
            ("//sync/", "/", false),
            ("/anki/", "/anki/", true),
            ("/anki//sync/", "/anki/", false),
            ("/anki", "/", false),
            ("/a/../b/", "/", false),
            ("/it's/", "/", false),
        ] {
            let found = address(path, false, &[("host", "h")]);
            assert_eq!(found.text, format!("http://h{expected}"), "{path}");
            assert_eq!(found.is_exact, is_exact, "{path}");
        }
        let endless = format!("/{}/", "a".repeat(LONGEST_PATH));
        assert_eq!(text(&endless, false, &[("host", "h")]), "http://h/");
    }

    #[test]
    fn a_prefix_is_put_before_the_path_however_it_is_written() {
        for prefix in ["/anki", "/anki/", "anki", "//anki//"] {
            let headers = [("host", "h"), ("x-forwarded-prefix", prefix)];
            assert_eq!(text("/", true, &headers), "http://h/anki/", "{prefix}");
        }
        let headers = [("host", "h"), ("x-forwarded-prefix", "/<b>")];
        assert_eq!(text("/", true, &headers), "http://h/");
    }

    #[test]
    fn a_proxy_is_known_by_what_it_adds_or_by_where_it_is() {
        let is_proxied =
            |is_trusted, headers: &[(&str, &str)]| address("/", is_trusted, headers).is_proxied;
        assert!(!is_proxied(false, &[("host", "192.0.2.1:8080")]));
        assert!(!is_proxied(true, &[("host", "localhost:8080")]));
        // The proxy has passed on the name that the browser used.
        assert!(is_proxied(true, &[("host", "anki.example.org")]));
        for name in BY_PROXIES {
            assert!(is_proxied(false, &[("host", "h"), (name, "x")]), "{name}");
        }
        let old = Request::get("/").version(Version::HTTP_10);
        assert!(Address::of(&old.body(()).unwrap(), false).is_proxied);
    }

    #[test]
    fn addresses_that_mean_the_device_itself_are_known() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "0.0.0.0"] {
            assert_eq!(
                address("/", false, &[("host", host)]).host,
                Host::Loopback,
                "{host}"
            );
        }
        assert_eq!(
            address("/", false, &[("host", "192.0.2.1")]).host,
            Host::Server
        );
        assert_eq!(address("/", false, &[]).host, Host::Unknown);
    }
}
