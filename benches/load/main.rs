//! Many devices at once, far more than real clients could play on the same machine. Each belongs to
//! a user of its own, and sends what Anki 26.9.3 sends in the recordings.
//!
//! `benches/load.py` starts the servers for it, and shows what it found.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench may end with a backtrace"
)]

mod connection;
mod device;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use clap::Parser;
use device::{Collection, Device};
use serde_json::{Map, Value, json};
use tokio::{task::JoinSet, time::sleep};

#[derive(Parser)]
struct Arguments {
    /// Where the server listens.
    address: SocketAddr,
    /// The collection that each user uploads first.
    collection: PathBuf,
    /// Users, named u0, u1 and so on, each with the password "p".
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// How long their devices sync after the uploads.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Milliseconds from the end of a device's sync to its next one.
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Cargo adds this.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long each step took, in seconds, and why some failed.
#[derive(Default)]
struct Figures {
    steps: BTreeMap<&'static str, Vec<f64>>,
    failures: BTreeMap<String, usize>,
    /// When the time is over. What ends later does not count for the rate.
    until: Option<Instant>,
    in_time: BTreeMap<&'static str, usize>,
}

impl Figures {
    fn into_json(self) -> Value {
        let steps = self.steps.into_iter().map(|(step, mut seconds)| {
            seconds.sort_by(f64::total_cmp);
            let at = |thousandths: usize| seconds[(seconds.len() - 1) * thousandths / 1000];
            let in_time = self.in_time.get(step);
            let figures = json!({
                "count": seconds.len(), "in_time": in_time,
                "p50": at(500), "p99": at(990), "longest": at(1000),
            });
            (step.to_owned(), figures)
        });
        json!({"steps": steps.collect::<Map<_, _>>(), "failures": self.failures})
    }
}

/// Runs one step and notes how it went; none if it failed.
async fn step<T>(
    figures: &Mutex<Figures>,
    name: &'static str,
    work: impl Future<Output = Result<T, String>>,
) -> Option<T> {
    let began = Instant::now();
    let result = work.await;
    let mut figures = figures.lock().unwrap();
    match result {
        Ok(value) => {
            let seconds = began.elapsed().as_secs_f64();
            figures.steps.entry(name).or_default().push(seconds);
            if figures.until.is_some_and(|until| Instant::now() <= until) {
                *figures.in_time.entry(name).or_default() += 1;
            }
            Some(value)
        }
        Err(error) => {
            let failures = &mut figures.failures;
            *failures.entry(format!("{name}: {error}")).or_default() += 1;
            None
        }
    }
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let collection = Arc::new(Collection::read(&arguments.collection));
    let figures = Arc::new(Mutex::new(Figures::default()));
    // All together: a storm of logins, then of uploads.
    let mut logins = JoinSet::new();
    for number in 0..arguments.users {
        let (collection, figures) = (Arc::clone(&collection), Arc::clone(&figures));
        logins.spawn(async move {
            let login = Device::log_in(arguments.address, number, collection);
            step(&figures, "login", login).await
        });
    }
    let devices = logins.join_all().await;
    let mut uploads = JoinSet::new();
    for mut device in devices.into_iter().flatten() {
        let figures = Arc::clone(&figures);
        uploads.spawn(async move {
            let uploaded = step(&figures, "first upload", device.upload()).await;
            uploaded.map(|()| device)
        });
    }
    let devices = uploads.join_all().await;
    // From here on the server's processor time counts.
    println!();
    let until = Instant::now() + Duration::from_secs(arguments.seconds);
    figures.lock().unwrap().until = Some(until);
    let pause = Duration::from_millis(arguments.pause);
    let mut syncing = JoinSet::new();
    for device in devices.into_iter().flatten() {
        syncing.spawn(sync_until(until, pause, device, Arc::clone(&figures)));
    }
    syncing.join_all().await;
    let figures = Arc::into_inner(figures).expect("no device is left");
    println!("{}", figures.into_inner().unwrap().into_json());
}

/// Most syncs bring a review, one in four brings nothing, and one in ten brings media.
async fn sync_until(
    until: Instant,
    pause: Duration,
    mut device: Device,
    figures: Arc<Mutex<Figures>>,
) {
    // Not all at the same moment.
    sleep(pause.mul_f64(device.fraction())).await;
    for number in 1.. {
        if Instant::now() >= until {
            return;
        }
        let synced = if number % 4 == 0 {
            step(&figures, "empty sync", device.sync_nothing()).await
        } else {
            step(&figures, "small sync", device.sync_review()).await
        };
        if synced.is_some() && number % 10 == 0 {
            step(&figures, "media", device.sync_media()).await;
        }
        sleep(pause).await;
    }
}
