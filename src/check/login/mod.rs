//! Whether a device could log in at an address, tried as a device does it.

mod exchange;
mod explain;

use std::io;

use hyper::Uri;
use serde_json::json;

use super::finding::Findings;
use crate::account::throttle::LONGEST;
use exchange::{Answer, Failure, PATIENCE, Place};
use explain::unreachable;

/// Can be no user's name, so that the server counts no failed login.
const NOBODY: &str = ".anki-syncd-check";
const CLIENT: &str = "26.09.3,anki-syncd-check,linux";
/// What a client needs to be able to upload when nothing else is known.
const USUAL_LIMIT: u64 = 100 * 1024 * 1024;

/// Who logs in.
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Tries the address, and tells also when nothing is wrong with it.
pub fn check(url: &str, login: Option<&Login>, limit: Option<u64>, findings: &mut Findings) {
    let before = findings.0.len();
    try_out(url, login, limit, findings);
    if findings.0.len() > before {
        return;
    }
    match login {
        Some(Login { user, .. }) => findings.note(
            "login-works",
            url,
            format_args!("a device can log in as {user} at this address"),
            "Nothing to do.",
        ),
        None => findings.note(
            "login-answered",
            url,
            "a sync server answers at this address",
            "Add --user NAME to test whether that user can log in.",
        ),
    };
}

/// Without a login, one that has to be refused.
fn try_out(url: &str, login: Option<&Login>, limit: Option<u64>, findings: &mut Findings) {
    let Some(place) = address(url, findings) else {
        return;
    };
    // Whether anything answers, whatever it says: where devices ask counts.
    if let Err(failure) = place.request("GET", "health", &[], None, PATIENCE) {
        let failure = match failure {
            Failure::Io(error) if is_cut_off(&error) && place.wants_tls() => Failure::NeedsTls,
            Failure::NotHttp if place.wants_tls() => Failure::NeedsTls,
            other => other,
        };
        return unreachable(url, &failure, findings);
    }
    match log_in(&place, login) {
        Ok(answer) if is_expected(&answer, login) => {}
        Ok(answer) => return judge(url, &place, &answer, login, findings),
        Err(failure) => return unreachable(url, &failure, findings),
    }
    if place.lacks_slash() {
        findings.note(
            "url-without-slash",
            url,
            format_args!(
                "lacks the slash at the end. Anki therefore uses {}/ instead, where a sync server answers",
                place.folder()
            ),
            format_args!("Use {}/ as the address.", url.trim_end_matches(|c| c != '/').trim_end_matches('/')),
        );
    }
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if place.refuses_size("sync/upload", &header(""), limit) {
        findings.problem(
            "login-too-large",
            url,
            format_args!("a proxy refuses uploads of {} MiB with status 413", limit >> 20),
            "Raise its limit: `client_max_body_size 0;` in nginx, `max_size` of request_body in Caddy.",
        );
    }
    if place.is_tls() && !place.speaks_tls_1_2() {
        findings.warning(
            "tls-1.2-missing",
            url,
            "the server does not support TLS 1.2, the newest version that AnkiMobile supports",
            "Allow TLS 1.2 as well as 1.3: `ssl_protocols TLSv1.2 TLSv1.3;` in nginx.",
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

/// Where clients connect to, who each take the address apart in the same way.
fn address(url: &str, findings: &mut Findings) -> Option<Place> {
    let place = url.parse::<Uri>().ok().and_then(|uri| Place::new(&uri));
    let Some(place) = place else {
        findings.problem(
            "url-invalid",
            url,
            "is not an address that Anki accepts",
            "Write it like http://192.168.1.10:8080/ : http:// or https://, the name or IP address, a colon and the port unless it is the usual one, and a slash.",
        );
        return None;
    };
    Some(place)
}

fn header(key: &str) -> String {
    json!({"v": 11, "k": key, "c": CLIENT, "s": "check"}).to_string()
}

fn log_in(place: &Place, login: Option<&Login>) -> Result<Answer, Failure> {
    let (user, password) = login.map_or((NOBODY, "-"), |login| (&login.user, &login.password));
    let message = json!({"u": user, "p": password}).to_string();
    let body = zstd::encode_all(message.as_bytes(), 1).map_err(Failure::Io)?;
    let header = header("");
    place.request(
        "POST",
        "sync/hostKey",
        &[("anki-sync", &header)],
        Some(&body),
        LONGEST + PATIENCE,
    )
}

/// As a sync server answers that login.
fn is_expected(answer: &Answer, login: Option<&Login>) -> bool {
    match login {
        Some(_) => answer.status == 200 && answer.has_header("anki-original-size"),
        None => answer.status == 403 && !answer.is_page,
    }
}

fn judge(
    url: &str,
    place: &Place,
    answer: &Answer,
    login: Option<&Login>,
    findings: &mut Findings,
) {
    match (answer.status, login) {
        (403, None) => {
            findings.warning(
                "login-page",
                url,
                "a web page refuses the login (status 403); a sync server would not send a page",
                "Test a login with `--user NAME`. If it works, the proxy has only replaced the error page. Otherwise configure the proxy to let all requests through.",
            );
        }
        (403, Some(login)) => {
            findings.problem(
                "login-wrong",
                url,
                format_args!("the server says that the user name {} or the password is wrong", login.user),
                "Compare both with the list of users, letter by letter. If you change the list, run `systemctl reload anki-syncd`.",
            );
        }
        (429, _) => {
            findings.warning(
                "login-slowed-down",
                url,
                "too many logins from this machine have failed, so the server did not check this one",
                "Wait a minute, then check again.",
            );
        }
        (200, Some(_)) => {
            findings.problem(
                "login-header-lost",
                url,
                "the answer lacks the header anki-original-size: a proxy removes headers, or this is not a sync server",
                "Configure the proxy to pass on all headers, and to show no login page of its own.",
            );
        }
        (404, _) if place.ends_in_sync() => {
            findings.problem(
                "url-with-sync",
                url,
                "ends in sync, which Anki adds itself; no sync server answers there (status 404)",
                "In Anki, leave sync out. Only Anki before 2.1.57 needs it, in its two addresses.",
            );
        }
        (404, _) if place.lacks_slash() => {
            findings.problem(
                "url-without-slash",
                url,
                format_args!(
                    "lacks the slash at the end. Anki therefore uses {}/ instead, where no sync server answers (status 404)",
                    place.folder()
                ),
                format_args!("Write {url}/ in Anki."),
            );
        }
        _ => unexpected(url, answer, findings),
    }
}

/// Something else than a sync server has answered.
fn unexpected(url: &str, answer: &Answer, findings: &mut Findings) {
    let status = answer.status;
    let (id, what, remedy) = match status {
        301 | 302 | 303 | 307 | 308 => (
            "login-redirected",
            "the server redirects, and Anki does not follow redirects",
            "Type the address that it redirects to into Anki. Most often it is the same with https://.",
        ),
        401 => (
            "login-page",
            "a proxy asks for a login of its own, which Anki cannot give",
            "Remove the proxy's login from this address: the sync server has its own.",
        ),
        404 => (
            "login-not-found",
            "there is no sync server at this path",
            "Check the path of the address and its slash at the end. Check how the proxy passes the path on: in nginx, `location /anki/` needs a slash at the end of `proxy_pass`.",
        ),
        413 => (
            "login-too-large",
            "a proxy refuses even small requests as too large",
            "Raise its limit: `client_max_body_size 0;` in nginx.",
        ),
        400 if !url.starts_with("https") => (
            "login-needs-tls",
            "this port probably accepts https only",
            "Write https:// in place of http://.",
        ),
        500..=599 => (
            "login-gateway",
            "the proxy cannot reach the sync server, or the sync server failed",
            "Check that the server is running (`anki-syncd status`), and that the proxy has the right address of it.",
        ),
        _ => (
            "login-foreign",
            "something other than a sync server answers",
            "Check the name, port and path of the address.",
        ),
    };
    findings.problem(id, url, format_args!("{what} (status {status})"), remedy);
}
