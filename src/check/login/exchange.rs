//! One request and the head of its answer, over TCP or TLS, with time limits.

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

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy refuses a size before it reads the body; who does not would wait for that.
const PATIENCE_WITH_SIZE: Duration = Duration::from_secs(2);

/// An answer, of which only the head is read.
pub type Answer = Response<Incoming>;

/// One that is sent, or one that is only announced.
type Body = Either<Full<Bytes>, StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>>;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The name leads to no address.
    Unknown(io::Error),
    Io(io::Error),
    Tls(rustls::Error),
    /// TLS is spoken where plain HTTP was tried.
    NeedsTls,
    /// Something else than HTTP.
    NotHttp,
}

impl NoAnswer {
    /// An error of TLS travels inside one of the connection.
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
            // It has been closed without an answer.
            None => Self::Io(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Endpoint {
    /// Asks for something below the address, without a body.
    pub async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        let body = Either::Left(Full::default());
        let request = self.request(Method::GET, path);
        self.ask(ALL_VERSIONS, request, body, PATIENCE).await
    }

    /// Posts a body to a method below the address.
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

    /// Whether a body of this size is refused once it is announced; it is not sent.
    pub async fn refuses_size(&self, method: &str, header: &str, size: u64) -> bool {
        let request = self.posting(method, header, size);
        let body = Either::Right(StreamBody::new(pending()));
        let asked = self.ask(ALL_VERSIONS, request, body, PATIENCE_WITH_SIZE);
        // Who waits for the body has not refused it.
        asked.await.is_ok_and(|answer| answer.status() == 413)
    }

    /// Whether a client that knows TLS 1.2 only gets through.
    pub async fn speaks_tls_1_2(&self) -> bool {
        let request = self.request(Method::GET, "health");
        let body = Either::Left(Full::default());
        self.ask(&[&version::TLS12], request, body, PATIENCE)
            .await
            .is_ok()
    }

    /// Whether TLS is spoken at an address that was given as http.
    pub async fn wants_tls(&self) -> bool {
        if self.is_tls() {
            return false;
        }
        match self.secured().connect(ALL_VERSIONS).await {
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
        versions: &[&'static SupportedProtocolVersion],
        request: Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = request.body(body);
        // As an address is that cannot be asked at.
        let request = request.map_err(|error| NoAnswer::Unknown(io::Error::other(error)))?;
        let connection = self.connect(versions).await?;
        within(patience, async {
            let (mut sender, connection) = handshake(TokioIo::new(connection)).await?;
            // What goes wrong with it, the answer says.
            tokio::spawn(connection);
            Ok(sender.send_request(request).await?)
        })
        .await
    }

    async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Box<dyn Connection>, NoAnswer> {
        let stream = self.dial().await?;
        if !self.is_tls() {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host().to_owned())
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
        let addresses = lookup_host((self.host(), self.port())).await;
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

/// Whom this machine trusts, or `SSL_CERT_FILE` says, as for Anki on Linux.
fn trusted() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}
