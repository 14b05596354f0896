//! Random requests of several devices, compared with a model of turn-taking.
//!
//! The clock only moves when something waits, so that a minute's silence costs nothing. Work in the
//! collection's turn writes a line into one log, and the log is checked afterwards.
//! `PROPTEST_CASES=5000` tries more.

mod judge;
mod world;

use std::sync::Mutex;

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use tokio::{
    runtime::Builder,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::{
    collection::{self, open::Reader},
    vault::{
        base::Base,
        conversation::{Next, Speaker},
    },
    wire::Usn,
};
use world::play;

/// In a normal run.
const CASES: u32 = 150;
/// Every request is answered by then: the request before it, and its own patience.
const LONGEST: Duration = Duration::from_secs(90);

/// An action, and its time.
#[derive(Debug, Clone)]
struct Event {
    /// The time since the previous event.
    after: Duration,
    device: u8,
    deed: Deed,
    /// How long its body takes, or a backup reads.
    body: Duration,
    /// When the client breaks off the connection.
    gives_up: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Start(u8),
    Step(u8, End),
    Read,
    Upload,
    Abort,
    BackUp,
    /// The server ends, killed or not, and starts again.
    Restart {
        killed: bool,
    },
}

/// How a step of a sync ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Continue,
    Commit,
    RollBack,
    Fail,
    Panic,
}

/// A line of the log, about the event of this number.
struct Line {
    at: Instant,
    event: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// The head of the request has arrived, or a backup begins to read.
    Arrived,
    /// Its body has arrived, and the vault was asked.
    Asked,
    /// Its turn: what it sees in the collection, and what others who open the file see.
    Worked { inside: i64, outside: i64 },
    /// The vault has answered.
    Answered(Answer),
    /// The request has ended, or the backup has read.
    Left,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Done,
    NotInSync,
    Occupied,
    /// As the work was meant to.
    Failed,
    Unexpected(String),
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    fn note(&self, event: usize, what: What) {
        let at = Instant::now();
        self.0.lock().unwrap().push(Line { at, event, what });
    }

    /// Logs the turn.
    fn worked(&self, event: usize, path: &Path, conn: &Connection) {
        let inside = read(conn);
        let outside = read(&Connection::open(path).unwrap());
        self.note(event, What::Worked { inside, outside });
    }
}

/// The event that last wrote to the collection.
fn read(conn: &Connection) -> i64 {
    conn.query_row("select ls from col", [], |row| row.get(0))
        .unwrap()
}

fn write(conn: &Connection, event: usize) -> rusqlite::Result<()> {
    conn.execute("update col set ls = ?1", [event]).map(drop)
}

fn event() -> impl Strategy<Value = Event> {
    let millis = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    let after = prop_oneof![
        8 => millis(0..300),
        4 => millis(300..4000),
        3 => millis(7000..9500),
        1 => millis(15_000..25_000),
        1 => millis(55_000..70_000),
    ];
    let body = prop_oneof![
        9 => millis(0..50),
        2 => millis(1000..9000),
        1 => millis(15_000..30_000),
    ];
    let gives_up = proptest::option::weighted(0.1, millis(0..25_000));
    (after, 1..4u8, deed(), body, gives_up).prop_map(|(after, device, deed, body, gives_up)| {
        Event {
            after,
            device,
            deed,
            body,
            gives_up,
        }
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let session = || prop_oneof![5 => Just(0u8), 1 => Just(1)];
    let end = prop_oneof![
        5 => Just(End::Continue),
        5 => Just(End::Commit),
        1 => Just(End::RollBack),
        1 => Just(End::Fail),
        1 => Just(End::Panic),
    ];
    prop_oneof![
        8 => session().prop_map(Deed::Start),
        12 => (session(), end).prop_map(|(session, end)| Deed::Step(session, end)),
        3 => Just(Deed::Read),
        2 => Just(Deed::Upload),
        2 => Just(Deed::Abort),
        2 => Just(Deed::BackUp),
        1 => any::<bool>().prop_map(|killed| Deed::Restart { killed }),
    ]
}

#[test]
fn devices_take_turns_whatever_they_do_and_nothing_shows_before_it_is_finished() {
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default().cases,
        None => CASES,
    };
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&vec(event(), 1..24), |events| {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(play(&events)).map_err(TestCaseError::fail)
    });
    if let Err(wrong) = tried {
        panic!("{wrong}");
    }
}
