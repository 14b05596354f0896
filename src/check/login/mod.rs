//! Whether a device could log in at an address, tried as a device does it.

mod endpoint;
mod exchange;
mod explain;

use std::io;

use hyper::header::CONTENT_TYPE;
use serde_json::json;
use tokio::runtime;

use super::finding::{Findings, Id, Severity};
use crate::account::throttle::LONGEST;
use endpoint::{AddressError, Endpoint, shown};
use exchange::{Answer, NoAnswer, PATIENCE};
use explain::unreachable;

/// Can be no user's name, so that the server counts no failed login.
const NOBODY: &str = ".anki-syncd-check";
const CLIENT: &str = "26.09.3,anki-syncd-check,linux";
/// What a client needs to be able to upload when nothing else is known.
const USUAL_LIMIT: u64 = 100 * 1024 * 1024;

pub struct Login {
    pub user: String,
    pub password: String,
}

/// Tries the address, and says so also when nothing is wrong with it.
pub fn check(
    url: &str,
    login: Option<&Login>,
    limit: Option<u64>,
    findings: &mut Findings,
) -> io::Result<()> {
    let before = findings.0.len();
    let place = Endpoint::new(url);
    let url = &shown(url);
    match place {
        Ok(place) => runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(try_out(url, &place, login, limit, findings)),
        Err(error @ (AddressError::Invalid | AddressError::Port)) => {
            findings.add(Id::UrlInvalid, url, error);
        }
    }
    if findings.0.len() > before {
        return Ok(());
    }
    match login {
        Some(Login { user, .. }) => findings.add(
            Id::LoginWorks,
            url,
            format_args!("a device can log in as {user} at this address"),
        ),
        None => findings.add(
            Id::LoginAnswered,
            url,
            "a sync server answers at this address",
        ),
    };
    Ok(())
}

/// Without a login, one that has to be refused.
async fn try_out(
    url: &str,
    place: &Endpoint,
    login: Option<&Login>,
    limit: Option<u64>,
    findings: &mut Findings,
) {
    // Whether anything answers, whatever it says: where devices ask counts.
    if let Err(failure) = place.get("health").await {
        let failure = match failure {
            NoAnswer::Io(error) if is_cut_off(&error) && place.wants_tls().await => {
                NoAnswer::NeedsTls
            }
            NoAnswer::NotHttp if place.wants_tls().await => NoAnswer::NeedsTls,
            other => other,
        };
        return unreachable(url, &failure, findings);
    }
    match log_in(place, login).await {
        Ok(answer) if is_expected(&answer, login) => {}
        Ok(answer) => return judge(url, place, &answer, login, findings),
        Err(failure) => return unreachable(url, &failure, findings),
    }
    if place.lacks_slash() {
        let what = format_args!(
            "lacks the slash at the end. Anki therefore uses {}/ instead, where a sync server answers",
            place.folder()
        );
        let folder = url.trim_end_matches(|c| c != '/').trim_end_matches('/');
        let remedy = format_args!("Use {folder}/ as the address.");
        findings
            .advise(Id::UrlWithoutSlash, url, what, remedy)
            .weigh(Severity::Note);
    }
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if place.refuses_size("sync/upload", &header(), limit).await {
        findings.advise(
            Id::LoginTooLarge,
            url,
            format_args!("a proxy refuses uploads of {} MiB with status 413", limit >> 20),
            "Raise its limit: `client_max_body_size 0;` in nginx, `max_size` of request_body in Caddy.",
        );
    }
    if place.is_tls() && !place.speaks_tls_1_2().await {
        findings.add(
            Id::Tls12Missing,
            url,
            "the server does not support TLS 1.2, the newest version that AnkiMobile supports",
        );
    }
}

fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}

fn header() -> String {
    json!({"v": 11, "k": "", "c": CLIENT, "s": "check"}).to_string()
}

async fn log_in(place: &Endpoint, login: Option<&Login>) -> Result<Answer, NoAnswer> {
    let (user, password) = login.map_or((NOBODY, "-"), |login| (&login.user, &login.password));
    let message = json!({"u": user, "p": password}).to_string();
    let body = zstd::encode_all(message.as_bytes(), 1).map_err(NoAnswer::Io)?;
    let patience = LONGEST + PATIENCE;
    place.post("sync/hostKey", &header(), body, patience).await
}

/// As a sync server answers that login.
fn is_expected(answer: &Answer, login: Option<&Login>) -> bool {
    match login {
        Some(_) => answer.status() == 200 && answer.headers().contains_key("anki-original-size"),
        None => answer.status() == 403 && !is_page(answer),
    }
}

/// Whether it is for people.
fn is_page(answer: &Answer) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn judge(
    url: &str,
    place: &Endpoint,
    answer: &Answer,
    login: Option<&Login>,
    findings: &mut Findings,
) {
    match (answer.status().as_u16(), login) {
        (403, None) => {
            findings.advise(
                Id::LoginPage,
                url,
                "a web page refuses the login (status 403); a sync server would not send a page",
                "Test a login with `--user NAME`. If it works, the proxy has only replaced the error page. Otherwise configure the proxy to let all requests through.",
            ).weigh(Severity::Warning);
        }
        (403, Some(login)) => {
            let user = &login.user;
            let what =
                format_args!("the server says that the user name {user} or the password is wrong");
            findings.add(Id::LoginWrong, url, what);
        }
        (429, _) => {
            let what = "too many logins from this machine have failed, so the server did not check this one";
            findings.add(Id::LoginSlowedDown, url, what);
        }
        (200, Some(_)) => {
            let what = "the answer lacks the header anki-original-size: a proxy removes headers, or this is not a sync server";
            findings.add(Id::LoginHeaderLost, url, what);
        }
        (404, _) if place.ends_in_sync() => {
            let what =
                "ends in sync, which Anki adds itself; no sync server answers there (status 404)";
            findings.add(Id::UrlWithSync, url, what);
        }
        (404, _) if place.lacks_slash() => {
            let what = format_args!(
                "lacks the slash at the end. Anki therefore uses {}/ instead, where no sync server answers (status 404)",
                place.folder()
            );
            let remedy = format_args!("Write {url}/ in Anki.");
            findings.advise(Id::UrlWithoutSlash, url, what, remedy);
        }
        (status, _) => unexpected(url, place, status, findings),
    }
}

/// Something else than a sync server has answered.
fn unexpected(url: &str, place: &Endpoint, status: u16, findings: &mut Findings) {
    let (id, what, remedy) = match status {
        301 | 302 | 303 | 307 | 308 => (
            Id::LoginRedirected,
            "the server redirects, and Anki does not follow redirects",
            None,
        ),
        401 => (
            Id::LoginPage,
            "a proxy asks for a login of its own, which Anki cannot give",
            Some("Remove the proxy's login from this address: the sync server has its own."),
        ),
        404 => (
            Id::LoginNotFound,
            "there is no sync server at this path",
            None,
        ),
        413 => (
            Id::LoginTooLarge,
            "a proxy refuses even small requests as too large",
            Some("Raise its limit: `client_max_body_size 0;` in nginx."),
        ),
        400 if !place.is_tls() => (
            Id::LoginNeedsTls,
            "this port probably accepts https only",
            None,
        ),
        500..=599 => (
            Id::LoginGateway,
            "the proxy cannot reach the sync server, or the sync server failed",
            None,
        ),
        _ => (
            Id::LoginForeign,
            "something other than a sync server answers",
            Some("Check the name, port and path of the address."),
        ),
    };
    let remedy = remedy.unwrap_or(id.remedy());
    findings.advise(id, url, format_args!("{what} (status {status})"), remedy);
}
