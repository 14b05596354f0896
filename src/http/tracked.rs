//! A body that keeps a value until it has been sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::reply::ReplyBody;

/// A reply's body with a `T` that is dropped with it.
pub struct Tracked<T> {
    body: ReplyBody,
    _until_sent: T,
}

impl<T> Tracked<T> {
    pub fn new(body: ReplyBody, until_sent: T) -> Self {
        Self {
            body,
            _until_sent: until_sent,
        }
    }
}

impl<T: Unpin> Body for Tracked<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
