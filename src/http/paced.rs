//! A connection whose client has to read answers at a minimum rate.
//!
//! A limit on each pause is not enough: a client that reads a byte now and then would hold the
//! answer, the copy of a collection behind it, and the connection for as long as it likes.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The bytes a second that the client has to read on average. A phone with GPRS, the slowest
/// network, gets some three times as much.
const RATE: u32 = 1024;

/// A stream with limited patience: waiting for a write uses it up, and written bytes restore it. So
/// a client may pause, but must not stay too slow.
pub struct Paced<S> {
    stream: S,
    patience: Duration,
    left: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    pub fn new(stream: S, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            left: patience,
            waiting: None,
        }
    }

    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => {
                let left = self.left;
                let waiting = self.waiting.get_or_insert_with(|| Waiting {
                    since: Instant::now(),
                    end: Box::pin(sleep(left)),
                });
                ready!(waiting.end.as_mut().poll(context));
                Poll::Ready(Err(ErrorKind::TimedOut.into()))
            }
            Poll::Ready(written) => {
                if let Some(waiting) = self.waiting.take() {
                    self.left = self.left.saturating_sub(waiting.since.elapsed());
                }
                let bytes = written.as_ref().map_or(0, bytes);
                let earned = Duration::from_secs(bytes as u64) / RATE;
                self.left = self.patience.min(self.left + earned);
                Poll::Ready(written)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.judge(written, |bytes| *bytes, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.judge(written, |bytes| *bytes, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(flushed, |()| 0, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(shut, |()| 0, context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// How long an answer is sent to a client that reads this many bytes after each pause.
    async fn sent_to(bytes: usize, pause: Duration, answer: usize) -> (io::Result<()>, Duration) {
        let (ours, mut theirs) = duplex(1000);
        let mut paced = Paced::new(ours, PATIENCE);
        let began = Instant::now();
        let reading = async {
            let mut buffer = vec![0; bytes];
            loop {
                sleep(pause).await;
                theirs.read_exact(&mut buffer).await.unwrap();
            }
        };
        let content = vec![1; answer];
        let written = tokio::select! {
            written = paced.write_all(&content) => written,
            () = reading => unreachable!(),
        };
        (written, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_is_given_up() {
        for pause in [1, 20, 59] {
            let (written, took) = sent_to(1, Duration::from_secs(pause), 1_000_000).await;
            assert_eq!(written.unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(took <= 2 * PATIENCE, "{pause}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_but_goes_on_gets_all() {
        let (written, took) = sent_to(1000, Duration::from_millis(800), 1_000_000).await;
        written.unwrap();
        assert!(took > 10 * PATIENCE);
        // The same with pauses.
        let (written, _) = sent_to(900, Duration::from_millis(400), 100_000).await;
        written.unwrap();
    }
}
