//! Serves the metrics over HTTP, on a socket of their own that systemd passes.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use super::text;
use crate::{control::Operator, listener::Listener};

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at a time; further ones wait.
const CONNECTIONS: usize = 4;
/// How long the head of a request may take, and the pause between two requests.
const PATIENCE: Duration = Duration::from_secs(90);
/// The pause after a connection could not be accepted, for example because no file descriptors are
/// left.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Answers until dropped.
pub async fn serve(operator: Arc<Operator>, listener: Listener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection for metrics");
                sleep(BACK_OFF).await;
                continue;
            }
        };
        let operator = Arc::clone(&operator);
        connections.spawn(async move {
            let _place = place;
            let service = service_fn(|request| answer(&operator, request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection for metrics was interrupted");
            }
        });
    }
}

async fn answer(
    operator: &Operator,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_known = ["/", "/metrics"].contains(&request.uri().path());
    let status = match (request.method() == Method::GET, is_known) {
        (true, true) => {
            // While metrics are collected, the server does not end for lack of work.
            let _counted = operator.connected();
            match text(operator.status().await) {
                Ok(text) => {
                    let mut response = Response::new(Full::from(text));
                    let format = HeaderValue::from_static(FORMAT);
                    response.headers_mut().insert(CONTENT_TYPE, format);
                    return Ok(response);
                }
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
        (true, false) => StatusCode::NOT_FOUND,
        (false, _) => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut response = Response::new(Full::from("the metrics are at /metrics\n"));
    *response.status_mut() = status;
    Ok(response)
}
