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
            "this port accepts https only".to_owned(),
            "Write https:// in place of http://.",
        ),
        Failure::NotHttp => (
            "login-foreign",
            "something other than a web server answers".to_owned(),
            "Check the port of the address.",
        ),
        Failure::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => (
                "login-refused",
                "nothing listens there".to_owned(),
                "Check that the server is running (`anki-syncd status`), and that it listens on this address and port (ListenStream= of anki-syncd.socket; without systemd, `host` and `port`).",
            ),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => (
                "login-timeout",
                "no answer in time".to_owned(),
                "Check the address and the firewall. If the server accepts the connection but sends no answer, see its log.",
            ),
            _ => (
                "login-failed",
                format!("the connection fails: {error}"),
                "Check the address and the port, and whether it has to be https:// or http://.",
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
            "the server supports neither TLS 1.2 nor TLS 1.3".to_owned(),
            "Allow TLS 1.2 and 1.3 in the proxy.",
        ),
        rustls::Error::InvalidMessage(_) => (
            "login-not-tls",
            "this port accepts http only, not https".to_owned(),
            "Write http:// in place of https://, or put a proxy with a certificate in front.",
        ),
        other => (
            "login-tls",
            format!("TLS fails: {other}"),
            "See the log of the proxy. Most often its certificate or key is missing.",
        ),
    }
}

fn explain_certificate(reason: &CertificateError) -> (&'static str, &'static str) {
    use CertificateError as Why;
    match reason {
        Why::Expired | Why::ExpiredContext { .. } => (
            "the certificate has expired",
            "Renew the certificate, then reload the proxy.",
        ),
        Why::NotValidYet | Why::NotValidYetContext { .. } => (
            "the certificate is not valid yet",
            "Check this machine's clock.",
        ),
        Why::NotValidForName | Why::NotValidForNameContext { .. } => (
            "the certificate is not valid for the name in this address",
            "In Anki, use the name that the certificate is for, or get a certificate that includes this name.",
        ),
        Why::UnknownIssuer => (
            "the certificate was not issued by a certificate authority that this machine trusts; perhaps it is self-signed",
            "Use a certificate of a public authority. Or have the devices trust yours: AnkiDroid under `Custom root certificate`, a computer in its list of trusted certificates. This command reads SSL_CERT_FILE.",
        ),
        _ => ("", "Get a new certificate."),
    }
}
