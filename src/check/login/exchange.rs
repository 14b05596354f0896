//! One request and the head of its answer, over TCP or TLS, with time limits.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use hyper::Uri;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::ServerName, version,
};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy refuses a size before it reads the body; who does not would wait for that.
const PATIENCE_WITH_SIZE: Duration = Duration::from_secs(2);
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;

/// What an address leads to.
pub struct Place {
    host: String,
    port: u16,
    path: String,
    tls: bool,
}

/// The head of an answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Whether it is a page for people.
    pub is_page: bool,
    names: Vec<String>,
}

/// Why there is none.
#[derive(Debug)]
pub enum Failure {
    /// The name leads to no address.
    Unknown(io::Error),
    /// The connection.
    Io(io::Error),
    /// What secures it.
    Tls(rustls::Error),
    /// TLS is spoken where plain HTTP was tried.
    NeedsTls,
    /// Something else than HTTP.
    NotHttp,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // An error of TLS travels inside one of the connection.
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(tls) => Self::Tls(rustls::Error::clone(tls)),
            None => Self::Io(error),
        }
    }
}

impl Answer {
    /// Whether it has a header.
    pub fn has_header(&self, name: &str) -> bool {
        self.names
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Place {
    /// None for an address without host, or that is neither http nor https.
    pub fn new(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self {
            host: uri.host()?.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: uri.path().to_owned(),
            tls,
        })
    }

    /// Below which clients ask: they drop what comes after the last slash.
    pub fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Whether something comes after the last slash.
    pub fn lacks_slash(&self) -> bool {
        self.path.len() > 1 && !self.path.ends_with('/')
    }

    /// Whether what clients add themselves is there already.
    pub fn ends_in_sync(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        ["/sync", "/msync"].iter().any(|end| path.ends_with(end))
    }

    /// Whether it is https.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Asks for something below the address.
    pub fn request(
        &self,
        verb: &str,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Answer, Failure> {
        let mut connection = self.connect_with(rustls::ALL_VERSIONS, patience)?;
        let length = body.map(|body| body.len() as u64);
        connection.write_all(self.head(verb, method, headers, length).as_bytes())?;
        connection.write_all(body.unwrap_or_default())?;
        connection.flush()?;
        read_head(&mut *connection)
    }

    /// Whether a body of this size is refused once it is announced; it is not sent.
    pub fn refuses_size(&self, method: &str, header: &str, size: u64) -> bool {
        let announced = || -> Result<Answer, Failure> {
            let mut connection = self.connect_with(rustls::ALL_VERSIONS, PATIENCE_WITH_SIZE)?;
            let head = self.head("POST", method, &[("anki-sync", header)], Some(size));
            connection.write_all(head.as_bytes())?;
            connection.flush()?;
            read_head(&mut *connection)
        };
        // Who waits for the body has not refused it.
        announced().is_ok_and(|answer| answer.status == 413)
    }

    /// Whether a client that knows TLS 1.2 only gets through.
    pub fn speaks_tls_1_2(&self) -> bool {
        self.connect_with(&[&version::TLS12], PATIENCE)
            .and_then(|mut connection| {
                connection.write_all(self.head("GET", "health", &[], None).as_bytes())?;
                read_head(&mut *connection)
            })
            .is_ok()
    }

    /// Whether TLS is spoken at an address that was given as http.
    pub fn wants_tls(&self) -> bool {
        let secured = Self {
            host: self.host.clone(),
            path: self.path.clone(),
            tls: true,
            ..*self
        };
        let Err(refused) = secured.connect() else {
            return !self.tls;
        };
        !self.tls
            && matches!(refused, Failure::Tls(error) if !matches!(error, rustls::Error::InvalidMessage(_)))
    }

    fn head(
        &self,
        verb: &str,
        method: &str,
        headers: &[(&str, &str)],
        length: Option<u64>,
    ) -> String {
        let folder = self.folder();
        let (host, port) = (&self.host, self.port);
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let mut head = format!(
            "{verb} {folder}/{method} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n"
        );
        for (name, value) in headers {
            head.extend([*name, ": ", *value, "\r\n"]);
        }
        if let Some(length) = length {
            let length = length.to_string();
            head.extend(["content-type: application/octet-stream\r\n"]);
            head.extend(["content-length: ", &length, "\r\n"]);
        }
        head + "\r\n"
    }

    fn connect(&self) -> Result<Box<dyn Connection>, Failure> {
        self.connect_with(rustls::ALL_VERSIONS, PATIENCE)
    }

    fn connect_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        patience: Duration,
    ) -> Result<Box<dyn Connection>, Failure> {
        let stream = self.dial(patience)?;
        if !self.tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| Failure::Unknown(io::Error::other(error)))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(Failure::Tls)?
            .with_root_certificates(trusted())
            .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), name).map_err(Failure::Tls)?;
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Box::new(stream))
    }

    fn dial(&self, patience: Duration) -> Result<TcpStream, Failure> {
        let addresses = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(Failure::Unknown)?;
        let mut failure = Failure::Unknown(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(stream);
                }
                Err(error) => failure = Failure::Io(error),
            }
        }
        Err(failure)
    }
}

/// Whom this machine trusts, or `SSL_CERT_FILE` says, as for Anki on Linux.
fn trusted() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

fn read_head(connection: &mut dyn Connection) -> Result<Answer, Failure> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = connection.read(&mut piece)?;
        head.extend_from_slice(piece.get(..length).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                return Ok(Answer {
                    status: response.code.unwrap_or_default(),
                    is_page: headers.iter().any(|header| {
                        header.name.eq_ignore_ascii_case("content-type")
                            && header.value.starts_with(b"text/html")
                    }),
                    names: headers
                        .iter()
                        .map(|header| header.name.to_owned())
                        .collect(),
                });
            }
            Ok(httparse::Status::Partial) if length > 0 && head.len() < LONGEST_HEAD => {}
            Ok(_) if head.is_empty() => {
                return Err(Failure::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            _ => return Err(Failure::NotHttp),
        }
    }
}
