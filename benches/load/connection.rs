//! A connection of one device, over which it sends requests one after the other.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpSocket, task::JoinHandle, time::timeout};

/// After this time Anki gives up.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    header: String,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects from an address of the device's own, since servers limit connections by address.
    pub async fn open(to: SocketAddr, from: Ipv4Addr, key: &str) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().map_err(text)?;
        socket.set_reuseaddr(true).map_err(text)?;
        socket.bind((from, 0).into()).map_err(text)?;
        let stream = timeout(PATIENCE, socket.connect(to)).await;
        let stream = stream.map_err(|_| "no connection within a minute")?;
        let stream = stream.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (requests, connection) = handshake.map_err(text)?;
        Ok(Self {
            requests,
            header: json!({"v": 11, "k": key, "c": "anki,26.09.3 (load),linux", "s": "load"})
                .to_string(),
            driver: tokio::spawn(async move {
                // Its end shows in the next request.
                let _ = connection.await;
            }),
        })
    }

    /// Sends JSON, and reads JSON.
    pub async fn ask(&mut self, path: &str, message: &Value) -> Result<Value, String> {
        let body = frame(message.to_string().as_bytes());
        let answer = self.post(path, body).await?;
        serde_json::from_slice(&answer).map_err(text)
    }

    /// Sends a whole zstd frame, and decodes the answer.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Vec<u8>, String> {
        timeout(PATIENCE, self.exchange(path, body))
            .await
            .unwrap_or_else(|_| Err(format!("{path}: no answer within a minute")))
    }

    async fn exchange(&mut self, path: &str, body: Bytes) -> Result<Vec<u8>, String> {
        let named = |error: hyper::Error| format!("{path}: {error}");
        let request = Request::post(path)
            .header("host", "localhost")
            .header("anki-sync", &self.header)
            .header("content-type", "application/octet-stream")
            .body(Full::new(body))
            .map_err(text)?;
        self.requests.ready().await.map_err(named)?;
        let answer = self.requests.send_request(request).await.map_err(named)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(named)?;
        if !status.is_success() {
            return Err(format!("{path}: {status}"));
        }
        zstd::decode_all(&*body.to_bytes()).map_err(text)
    }
}

pub fn frame(content: &[u8]) -> Bytes {
    zstd::encode_all(content, 1).unwrap().into()
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub fn text(error: impl ToString) -> String {
    error.to_string()
}
