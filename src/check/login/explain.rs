//! Why an address gives no answer, in words.

use std::{fmt::Write, io};

use rustls::{AlertDescription, CertificateError};

use super::{super::finding::Findings, exchange::Failure};

/// Tells why no answer came, and what to do.
pub fn unreachable(url: &str, failure: &Failure, findings: &mut Findings) {
    let (id, what, remedy) = explain(failure);
    findings.problem(id, url, what, remedy);
}

fn explain(failure: &Failure) -> (&'static str, String, &'static str) {
    match failure {
        Failure::Unknown(error) => (
            "login-unknown-host",
            format!("the name cannot be resolved: {error}"),
            "Check the spelling, or use the IP address.",
        ),
        Failure::Tls(error) => explain_tls(error),
        Failure::NeedsTls => (
            "login-needs-tls",
            "plain http is not understood there, but TLS is".to_owned(),
            "Write https:// in place of http://.",
        ),
        Failure::NotHttp => (
            "login-foreign",
            "something that is no web server answers".to_owned(),
            "Check the port of the address.",
        ),
        Failure::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                "login-refused",
                "nothing listens there".to_owned(),
                "Is the server running (`anki-syncd status`), on that port and that address (`host`, or ListenStream= of the socket)?",
            ),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => (
                "login-timeout",
                "no answer in time".to_owned(),
                "Check the firewall and the address; if the connection is accepted and nothing comes, see the server's log.",
            ),
            _ => (
                "login-failed",
                format!("the connection fails: {error}"),
                "Check address and port, and https:// or http://.",
            ),
        },
    }
}

fn explain_tls(error: &rustls::Error) -> (&'static str, String, &'static str) {
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            let (what, remedy) = explain_certificate(reason);
            let mut what = what.to_owned();
            if what.is_empty() {
                // Writing to a string cannot fail.
                let _ = write!(what, "the certificate is not accepted: {reason}");
            }
            ("login-certificate", what, remedy)
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => (
            "login-tls-version",
            "no version of TLS is known to both sides".to_owned(),
            "Allow TLS 1.2 and 1.3 in the proxy.",
        ),
        rustls::Error::InvalidMessage(_) => (
            "login-not-tls",
            "what answers there speaks no TLS".to_owned(),
            "Write http:// in place of https://, or put a proxy with a certificate in front.",
        ),
        other => (
            "login-tls",
            format!("TLS fails: {other}"),
            "See the log of the proxy; most often its certificate or key is missing.",
        ),
    }
}

fn explain_certificate(reason: &CertificateError) -> (&'static str, &'static str) {
    use CertificateError as Why;
    match reason {
        Why::Expired | Why::ExpiredContext { .. } => (
            "the certificate has expired",
            "Renew it, and have the proxy read it again.",
        ),
        Why::NotValidYet | Why::NotValidYetContext { .. } => (
            "the certificate is not valid yet",
            "Check this machine's clock.",
        ),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => (
            "the certificate is for another name than this address has",
            "Use the name that it is for in Anki, or have it issued for this one too.",
        ),
        Why::UnknownIssuer => (
            "the certificate is not issued by anybody whom this machine trusts, as with one made by oneself",
            "Use one of a public authority; AnkiDroid takes a private one under `Custom root certificate`, a computer among its trusted ones (SSL_CERT_FILE).",
        ),
        _ => ("", "Have a new certificate issued."),
    }
}
