//! The page for browsers: it shows that the connection works, and what to type into Anki.

mod address;
mod visitor;

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use htmlescape::encode_minimal;
use hyper::{
    Request, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use sha2::{Digest, Sha256};

use super::reply::{ReplyBody, whole};
use crate::qr;
use address::{Address, Host};
use visitor::Visitor;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const ELSEWHERE: &str = "The address that you opened does not work in Anki. Type exactly the address below, without <code>sync/</code> or anything else after it.";
const PLAIN: &str = "<strong>This address is not encrypted.</strong> That is fine at home and inside a VPN. Across \
     the internet, others can read your cards and act as you: use an address with <code>https://</code> \
     there. AnkiDroid 2.15 and older refuse this address everywhere.";
const PROXIED: &str = "If the address in your browser begins differently, type that one, up to its last slash: the proxy in front of this server does not pass on the name that you used.";
const LOOPBACK: &str = "<strong>This address works on this computer only.</strong> On other devices, type the \
     computer's name or IP address in place of this one.";

/// Allows only the page's own style and script, and forbids frames, forms and another base address.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    HeaderValue::from_str(&policy).ok()
});

/// The page for every address that is not a method's. Its status is 404 unless the address is one
/// to type into Anki.
pub fn page<B>(request: &Request<B>, is_proxy_trusted: bool) -> Response<ReplyBody> {
    let address = Address::of(request, is_proxy_trusted);
    let visitor = Visitor::of(request.headers());
    let mut response = Response::new(whole(html(&address, visitor)));
    if !address.is_exact {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = &*POLICY {
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}

fn html(address: &Address, visitor: Visitor) -> String {
    let warning = match address {
        Address {
            host: Host::Loopback,
            ..
        } => note(LOOPBACK),
        Address {
            is_encrypted: false,
            ..
        } => note(PLAIN),
        _ => String::new(),
    };
    let elsewhere = if address.is_exact {
        String::new()
    } else {
        note(ELSEWHERE)
    };
    let proxied = if address.is_proxied {
        format!("<p class=\"small\">{PROXIED}</p>")
    } else {
        String::new()
    };
    let open = |client| if visitor == client { " open" } else { "" };
    format!(
        include_str!("page.html"),
        style = STYLE,
        script = SCRIPT,
        elsewhere = elsewhere,
        warning = warning,
        proxied = proxied,
        qr = qr_code(address),
        desktop = open(Visitor::Desktop),
        android = open(Visitor::Android),
        ios = open(Visitor::Ios),
        address = encode_minimal(&address.text),
    )
}

/// For the camera of another device, if the address works on other devices.
fn qr_code(address: &Address) -> String {
    let is_of_use = address.host == Host::Server;
    let code = is_of_use.then(|| qr::svg(&address.text)).flatten();
    code.map_or_else(String::new, |svg| {
        format!(
            "<figure class=\"qr\">{svg}<figcaption>On another device, point the camera here: it opens this page there.</figcaption></figure>"
        )
    })
}

fn note(text: &str) -> String {
    format!("<div class=\"note\"><p>{text}</p></div>")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn open(path: &str, host: &str) -> Response<ReplyBody> {
        let request = Request::get(path).header("host", host).body(()).unwrap();
        page(&request, true)
    }

    async fn text(response: Response<ReplyBody>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_a_request_says_cannot_become_markup() {
        // The grammar of addresses allows all these characters in a host.
        let page = text(open("/", "a&lt;'b'(c);x=y")).await;
        assert!(page.contains("http://a&amp;lt;&#x27;b&#x27;(c);x=y/"));
        assert!(!page.contains("a&lt;'b'"));
    }

    #[tokio::test]
    async fn a_page_opened_elsewhere_is_a_404_that_helps() {
        let response = open("/sync/", "192.0.2.1:8080");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let page = text(response).await;
        assert!(page.contains("does not work in Anki"));
        assert!(page.contains(">http://192.0.2.1:8080/<"));
    }

    #[tokio::test]
    async fn notes_are_there_when_they_apply() {
        let lan = text(open("/", "192.0.2.1")).await;
        assert!(lan.contains(PLAIN) && !lan.contains(LOOPBACK) && !lan.contains(ELSEWHERE));
        assert!(lan.contains("<svg") && lan.contains(PROXIED));
        let own = text(open("/", "localhost")).await;
        assert!(own.contains(LOOPBACK) && !own.contains(PLAIN));
        // A phone that scans it would look for the server on the phone itself.
        assert!(!own.contains("<svg") && !own.contains(PROXIED));
        let endless = text(open("/", &format!("{}.example", "a".repeat(9000)))).await;
        assert!(!endless.contains("<svg"));
    }

    #[test]
    fn the_policy_allows_no_more_than_the_page_needs() {
        let response = open("/", "h");
        let policy = response.headers()[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        for part in ["base-uri", "form-action", "frame-ancestors"] {
            assert!(policy.contains(&format!("{part} 'none'")), "{part}");
        }
        assert!(!policy.contains("unsafe"));
    }
}
