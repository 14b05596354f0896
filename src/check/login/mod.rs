//! Whether a device could log in at an address. The check sends the same requests as a device.

mod endpoint;
mod exchange;
mod explain;

use std::io;

use hyper::header::CONTENT_TYPE;
use serde_json::json;
use tokio::runtime;

use super::finding::{Findings, Id, Severity};
use crate::account::throttle::LONGEST;
use endpoint::{Endpoint, shown};
use exchange::{Answer, NoAnswer, PATIENCE};
use explain::unreachable;

/// No user can have this name, so the server counts no failed login.
const NOBODY: &str = ".anki-syncd-check";
const CLIENT: &str = "26.09.3,anki-syncd-check,linux";
/// The largest upload to test if the settings do not have the limit.
const USUAL_LIMIT: u64 = 100 * 1024 * 1024;

pub struct Login {
    pub user: String,
    pub password: String,
}

/// Adds a finding also if the address works.
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
        Err(error) => {
            findings.add(Id::UrlInvalid, url, error);
        }
    }
    if findings.0.len() > before {
        return Ok(());
    }
    if let Some(Login { user, .. }) = login {
        let what = format_args!("a device can log in as {user} at this address");
        findings.add(Id::LoginWorks, url, what);
    } else {
        let what = "a sync server answers at this address";
        findings.add(Id::LoginAnswered, url, what);
    }
    Ok(())
}

/// Without a login, it tries one that a sync server refuses.
async fn try_out(
    url: &str,
    place: &Endpoint,
    login: Option<&Login>,
    limit: Option<u64>,
    findings: &mut Findings,
) {
    // Any answer will do: a proxy may pass on only the paths that devices use.
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
        let found = findings.advise(Id::UrlWithoutSlash, url, what, remedy);
        found.severity = Severity::Note;
    }
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if place.refuses_size("sync/upload", &header(), limit).await {
        let mib = limit >> 20;
        let what = format_args!("a proxy refuses uploads of {mib} MiB with status 413");
        let remedy = "Raise its limit: `client_max_body_size 0;` in nginx, `max_size` of request_body in Caddy.";
        findings.advise(Id::LoginTooLarge, url, what, remedy);
    }
    if place.tls && !place.speaks_tls_1_2().await {
        let what =
            "the server does not support TLS 1.2, the newest version that AnkiMobile supports";
        findings.add(Id::Tls12Missing, url, what);
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

/// Whether this is the answer of a sync server to this login.
fn is_expected(answer: &Answer, login: Option<&Login>) -> bool {
    match login {
        Some(_) => answer.status() == 200 && answer.headers().contains_key("anki-original-size"),
        None => answer.status() == 403 && !is_page(answer),
    }
}

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
            let what =
                "a web page refuses the login (status 403); a sync server would not send a page";
            let remedy = "Test a login with `--user NAME`. If it works, the proxy has only replaced the error page. Otherwise configure the proxy to let all requests through.";
            let found = findings.advise(Id::LoginPage, url, what, remedy);
            found.severity = Severity::Warning;
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

/// Reports an answer that no sync server gives.
fn unexpected(url: &str, place: &Endpoint, status: u16, findings: &mut Findings) {
    let (id, what, remedy) = match status {
        301 | 302 | 303 | 307 | 308 => {
            let what = "the server redirects, and Anki does not follow redirects";
            (Id::LoginRedirected, what, None)
        }
        401 => (
            Id::LoginPage,
            "a proxy asks for a login of its own, which Anki cannot give",
            Some("Remove the proxy's login from this address: the sync server has its own."),
        ),
        404 => {
            let what = "there is no sync server at this path";
            (Id::LoginNotFound, what, None)
        }
        413 => (
            Id::LoginTooLarge,
            "a proxy refuses even small requests as too large",
            Some("Raise its limit: `client_max_body_size 0;` in nginx."),
        ),
        400 if !place.tls => {
            let what = "this port probably accepts https only";
            (Id::LoginNeedsTls, what, None)
        }
        500..=599 => {
            let what = "the proxy cannot reach the sync server, or the sync server failed";
            (Id::LoginGateway, what, None)
        }
        _ => (
            Id::LoginForeign,
            "something other than a sync server answers",
            Some("Check the name, port and path of the address."),
        ),
    };
    let remedy = remedy.unwrap_or(id.remedy());
    findings.advise(id, url, format_args!("{what} (status {status})"), remedy);
}
