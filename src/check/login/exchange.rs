//! One request and the head of its answer, over TCP or TLS, with time-outs.

use std::{convert::Infallible, error::Error, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::{Pending, pending};
use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
    client::conn::http1::handshake,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST},
    http::request::Builder,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion, crypto::ring,
        pki_types::ServerName, version,
    },
};

use super::endpoint::Endpoint;

/// The time-out of an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy refuses a size at once. A server that accepts it waits for the body and does not answer.
const PATIENCE_WITH_SIZE: Duration = Duration::from_secs(2);

/// The head of an answer; the body is not read.
pub type Answer = Response<Incoming>;

type Version = &'static SupportedProtocolVersion;

/// A body that is sent, or one that is only announced.
type Body = Either<Full<Bytes>, StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>>;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The name cannot be resolved.
    Unknown(io::Error),
    Io(io::Error),
    Tls(rustls::Error),
    /// The port accepts TLS only.
    NeedsTls,
    /// The answer is not HTTP.
    NotHttp,
}

impl NoAnswer {
    /// The connection's error contains the error of TLS.
    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => Self::Tls(rustls::Error::clone(tls)),
            None => Self::Io(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

impl From<hyper::Error> for NoAnswer {
    fn from(error: hyper::Error) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        match cause {
            _ if error.is_parse() => Self::NotHttp,
            Some(cause) => Self::of(cause),
            // The connection was closed without an answer.
            None => Self::Io(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Endpoint {
    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.get_by(ALL_VERSIONS, path).await
    }

    async fn get_by(&self, versions: &[Version], path: &str) -> Result<Answer, NoAnswer> {
        let body = Either::Left(Full::default());
        let request = self.request(Method::GET, path);
        self.ask(versions, request, body, PATIENCE).await
    }

    /// Posts a body to a method of the protocol.
    pub async fn post(
        &self,
        method: &str,
        header: &str,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = self.posting(method, header, body.len() as u64);
        let body = Either::Left(Full::from(body));
        self.ask(ALL_VERSIONS, request, body, patience).await
    }

    /// Whether a body of this size is refused. Only its size is sent.
    pub async fn refuses_size(&self, method: &str, header: &str, size: u64) -> bool {
        let request = self.posting(method, header, size);
        let body = Either::Right(StreamBody::new(pending()));
        let asked = self.ask(ALL_VERSIONS, request, body, PATIENCE_WITH_SIZE);
        // A server that waits for the body has not refused it.
        asked.await.is_ok_and(|answer| answer.status() == 413)
    }

    /// Whether a client without TLS 1.3 gets an answer.
    pub async fn speaks_tls_1_2(&self) -> bool {
        self.get_by(&[&version::TLS12], "health").await.is_ok()
    }

    /// Whether the port of an http:// address accepts TLS.
    pub async fn wants_tls(&self) -> bool {
        if self.tls {
            return false;
        }
        let mut secured = self.clone();
        secured.tls = true;
        match secured.connect(ALL_VERSIONS).await {
            Err(NoAnswer::Tls(error)) => !matches!(error, rustls::Error::InvalidMessage(_)),
            connected => connected.is_ok(),
        }
    }

    fn request(&self, verb: Method, path: &str) -> Builder {
        Request::builder()
            .method(verb)
            .uri(format!("{}/{path}", self.folder()))
            .header(HOST, self.authority())
            .header(CONNECTION, "close")
    }

    fn posting(&self, method: &str, header: &str, length: u64) -> Builder {
        self.request(Method::POST, method)
            .header("anki-sync", header)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, length)
    }

    async fn ask(
        &self,
        versions: &[Version],
        request: Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = request.body(body);
        // An address that makes no valid request counts as one that cannot be resolved.
        let request = request.map_err(|error| NoAnswer::Unknown(io::Error::other(error)))?;
        let connection = self.connect(versions).await?;
        within(patience, async {
            let (mut sender, connection) = handshake(TokioIo::new(connection)).await?;
            // Its errors also fail the request.
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        })
        .await
    }

    async fn connect(&self, versions: &[Version]) -> Result<Box<dyn Connection>, NoAnswer> {
        let stream = self.dial().await?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| NoAnswer::Unknown(io::Error::other(error)))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(NoAnswer::Tls)?
            .with_root_certificates(trusted())
            .with_no_client_auth();
        let secured = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let secured = async { secured.await.map_err(|error| NoAnswer::of(&error)) };
        Ok(Box::new(within(PATIENCE, secured).await?))
    }

    async fn dial(&self) -> Result<TcpStream, NoAnswer> {
        let addresses = lookup_host((self.host.as_str(), self.port)).await;
        let mut failure = NoAnswer::Unknown(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses.map_err(NoAnswer::Unknown)? {
            let connected = async { TcpStream::connect(address).await.map_err(NoAnswer::Io) };
            match within(PATIENCE, connected).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    let late = NoAnswer::Io(io::ErrorKind::TimedOut.into());
    timeout(patience, work).await.unwrap_or(Err(late))
}

/// The certificate authorities of this machine or of `SSL_CERT_FILE`, as Anki on Linux uses them.
fn trusted() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}
