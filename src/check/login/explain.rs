//! Findings about an address that gives no answer.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::{
    super::finding::{Findings, Id},
    exchange::NoAnswer,
};

pub fn unreachable(url: &str, failure: &NoAnswer, findings: &mut Findings) {
    let (id, what) = match failure {
        NoAnswer::Unknown(error) => (
            Id::LoginUnknownHost,
            format!("the name cannot be resolved: {error}"),
        ),
        NoAnswer::Tls(Error::InvalidCertificate(reason)) => {
            return certificate(url, reason, findings);
        }
        NoAnswer::Tls(Error::AlertReceived(AlertDescription::ProtocolVersion)) => (
            Id::LoginTlsVersion,
            "the server supports neither TLS 1.2 nor TLS 1.3".to_owned(),
        ),
        NoAnswer::Tls(Error::InvalidMessage(_)) => (
            Id::LoginNotTls,
            "this port accepts http only, not https".to_owned(),
        ),
        NoAnswer::Tls(other) => (Id::LoginTls, format!("TLS fails: {other}")),
        NoAnswer::NeedsTls => (Id::LoginNeedsTls, "this port accepts https only".to_owned()),
        NoAnswer::NotHttp => {
            let what = "something other than a web server answers";
            let remedy = "Check the port of the address.";
            findings.advise(Id::LoginForeign, url, what, remedy);
            return;
        }
        NoAnswer::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                (Id::LoginRefused, "nothing listens there".to_owned())
            }
            io::ErrorKind::TimedOut => (Id::LoginTimeout, "no answer in time".to_owned()),
            _ => (Id::LoginFailed, format!("the connection fails: {error}")),
        },
    };
    findings.add(id, url, what);
}

fn certificate(url: &str, reason: &CertificateError, findings: &mut Findings) {
    use CertificateError as Why;
    let not_accepted = format!("the certificate is not accepted: {reason}");
    let (what, remedy) = match reason {
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
        _ => (not_accepted.as_str(), "Get a new certificate."),
    };
    findings.advise(Id::LoginCertificate, url, what, remedy);
}
