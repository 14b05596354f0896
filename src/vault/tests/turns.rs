//! Requests of several devices, interleaved at random, against a model of whose turn it is.
//!
//! Time stands still but for what is waited for, so that a minute's silence costs nothing.
//! What runs in the collection's turn writes a line into one log; afterwards the log is judged.
//! `PROPTEST_CASES=5000` tries more.

mod judge;

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
        opened,
    },
    wire::Usn,
};

/// In a usual run.
const CASES: u32 = 150;
/// By then every request has been answered: what is under way before it, and its own patience.
const LONGEST: Duration = Duration::from_secs(90);

/// What somebody does, and when.
#[derive(Debug, Clone)]
struct Event {
    /// Since the one before.
    after: Duration,
    device: u8,
    deed: Deed,
    /// How long its body is under way, or a backup reads.
    body: Duration,
    /// When the client breaks the connection off.
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
    /// The server ends and starts again, killed or not.
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
    /// The head of the request is here, or a backup begins to read.
    Arrived,
    /// Its body is here as well, and the vault is asked.
    Asked,
    /// It is its turn; what the collection holds for it, and for anybody else who opens the file.
    Worked { inside: i64, outside: i64 },
    /// The vault has answered.
    Answered(Answer),
    /// The request is over, or the backup has read.
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

    /// In its turn.
    fn worked(&self, event: usize, path: &Path, conn: &Connection) {
        let inside = read(conn);
        let outside = read(&Connection::open(path).unwrap());
        self.note(event, What::Worked { inside, outside });
    }
}

/// Which event has written to the collection last.
fn read(conn: &Connection) -> i64 {
    conn.query_row("select ls from col", [], |row| row.get(0))
        .unwrap()
}

fn write(conn: &Connection, event: usize) -> rusqlite::Result<()> {
    conn.execute("update col set ls = ?1", [event]).map(drop)
}

/// A request that is under way; it is over when this is dropped, as when a client breaks off.
struct Present {
    log: Log,
    event: usize,
    attendance: Option<crate::vault::activity::Attendance>,
}

impl Present {
    fn new(log: &Log, event: usize, vault: Option<(&Vault, DeviceId)>) -> Self {
        log.note(event, What::Arrived);
        Self {
            log: log.clone(),
            event,
            attendance: vault.map(|(vault, device)| vault.attend(device)),
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        drop(self.attendance.take());
        self.log.note(self.event, What::Left);
    }
}

/// One request on its way through the vault.
struct Request {
    vault: Arc<Vault>,
    log: Log,
    event: usize,
    device: DeviceId,
}

impl Request {
    async fn run(self, event: Event) {
        let _present = Present::new(&self.log, self.event, Some((&self.vault, self.device)));
        sleep(event.body).await;
        self.log.note(self.event, What::Asked);
        let answer = self.ask(event.deed);
        let answer = match event.gives_up {
            Some(patience) => timeout(patience, answer).await.ok(),
            None => Some(answer.await),
        };
        if let Some(answer) = answer {
            let answer = match (answer, event.deed) {
                (Ok(()), _) => Answer::Done,
                (Err(Error::NotInSync), _) => Answer::NotInSync,
                (Err(Error::Occupied), _) => Answer::Occupied,
                (Err(Error::Collection(_)), Deed::Step(_, End::Fail))
                | (Err(Error::Panicked(_)), Deed::Step(_, End::Panic)) => Answer::Failed,
                (Err(error), _) => Answer::Unexpected(error.to_string()),
            };
            self.log.note(self.event, What::Answered(answer));
        }
    }

    async fn ask(&self, deed: Deed) -> Result<(), Error> {
        match deed {
            Deed::Start(session) => self.start(session).await,
            Deed::Step(session, end) => self.step(session, end).await,
            Deed::Read => self.read().await,
            Deed::Upload => self.upload().await,
            _ => self.vault.abort(self.device, Instant::now()).await,
        }
    }

    fn speaker(&self, session: u8) -> Speaker {
        Speaker {
            device: self.device,
            session_key: session.to_string(),
        }
    }

    async fn start(&self, session: u8) -> Result<(), Error> {
        let (log, event, path) = (self.log.clone(), self.event, self.vault.collection_path());
        let speaker = self.speaker(session);
        let begun = self.vault.start(self.device, move |conn| {
            log.worked(event, &path, conn);
            write(conn, event)?;
            Ok((Conversation::new(speaker, Usn(0), Usn(0), true), ()))
        });
        begun.await
    }

    async fn step(&self, session: u8, end: End) -> Result<(), Error> {
        let (log, event, path) = (self.log.clone(), self.event, self.vault.collection_path());
        let step = self.vault.converse(self.speaker(session), move |conn, _| {
            log.worked(event, &path, conn);
            write(conn, event)?;
            match end {
                End::Continue => Ok(Next::Continue(())),
                End::Commit => Ok(Next::Commit(())),
                End::RollBack => Ok(Next::RollBack(())),
                End::Fail => Err(collection::Error::ZeroId("deck")),
                // Without the message that a panic prints.
                End::Panic => std::panic::resume_unwind(Box::new("on purpose")),
            }
        });
        step.await
    }

    async fn read(&self) -> Result<(), Error> {
        let (log, event, path) = (self.log.clone(), self.event, self.vault.collection_path());
        let read = self.vault.collection(self.device, move |collection| {
            log.worked(event, &path, collection.connection());
            Ok(())
        });
        read.await
    }

    async fn upload(&self) -> Result<(), Error> {
        let (log, event, path) = (self.log.clone(), self.event, self.vault.collection_path());
        let file = upload(&self.vault, 1);
        write(&Connection::open(file.path()).unwrap(), event)?;
        let place = self.vault.place();
        let replaced = self.vault.in_turn_alone(self.device, move |open| {
            log.worked(event, &path, opened(open, &path)?.collection.connection());
            place.install(file, open, None, |_| Ok(()))
        });
        replaced.await.map(drop)
    }
}

async fn back_up(vault: Arc<Vault>, log: Log, event: usize, lasts: Duration) {
    let (path, readers) = (vault.collection_path(), vault.readers.clone());
    let log_in_turn = log.clone();
    let reading = vault.collection.run(&vault.operator, move |open| {
        opened(open, &path).unwrap();
        let reader = Reader::open(&path).unwrap();
        let outside = read(reader.connection());
        let inside = outside;
        log_in_turn.note(event, What::Worked { inside, outside });
        Ok((readers.enter(), reader, outside))
    });
    let (reading, reader, found) = reading.await.unwrap();
    let present = Present::new(&log, event, None);
    sleep(lasts).await;
    assert_eq!(read(reader.connection()), found);
    drop(reader);
    drop(present);
    drop(reading);
}

/// The server, and what it is doing.
struct World {
    folder: tempfile::TempDir,
    vaults: Arc<Vaults>,
    vault: Arc<Vault>,
    log: Log,
    housekeeping: JoinHandle<()>,
    under_way: Vec<JoinHandle<()>>,
}

impl World {
    async fn new(folder: tempfile::TempDir, log: Log) -> Self {
        let base = Base::open(folder.path()).unwrap();
        let vaults = Arc::new(Vaults::new(base, Retention::default()));
        let vault = vaults.get(&"alice".parse().unwrap()).await.unwrap();
        let housekeeping = Arc::clone(&vaults);
        Self {
            folder,
            vaults,
            vault,
            log,
            housekeeping: tokio::spawn(async move { housekeeping.close_idle().await }),
            under_way: Vec::new(),
        }
    }

    async fn begin(mut self, number: usize, event: Event) -> Self {
        if let Deed::Restart { killed } = event.deed {
            return self.restart(number, killed).await;
        }
        let (vault, log) = (Arc::clone(&self.vault), self.log.clone());
        self.under_way.push(match event.deed {
            Deed::BackUp => tokio::spawn(back_up(vault, log, number, event.body)),
            _ => {
                let device = DeviceId::from([event.device; 12]);
                let request = Request {
                    vault,
                    log,
                    event: number,
                    device,
                };
                tokio::spawn(request.run(event))
            }
        });
        self
    }

    async fn restart(self, event: usize, killed: bool) -> Self {
        for task in self.under_way.iter().chain([&self.housekeeping]) {
            task.abort();
        }
        for task in self.under_way {
            let _ = task.await;
        }
        let _ = self.housekeeping.await;
        let folder = if killed {
            killed_in(&self.folder, &self.vault).await
        } else {
            None
        };
        self.vaults.close_all().await;
        drop((self.vault, self.vaults));
        self.log.note(event, What::Left);
        Self::new(folder.unwrap_or(self.folder), self.log).await
    }

    /// Everybody gets an answer; none when that is not so.
    async fn end(mut self) -> Option<Self> {
        let all = std::mem::take(&mut self.under_way);
        let answered = async {
            for task in all {
                task.await.unwrap();
            }
        };
        timeout(LONGEST, answered).await.ok()?;
        Some(self)
    }
}

/// What a kill at this moment leaves on the disk.
async fn killed_in(folder: &tempfile::TempDir, vault: &Vault) -> Option<tempfile::TempDir> {
    let after = scratch();
    let (from, to) = (folder.path().join("alice"), after.path().join("alice"));
    let copied = vault.collection.run(&vault.operator, move |_| {
        fs::create_dir(&to).unwrap();
        for name in ["collection.anki2", "collection.anki2-wal"] {
            let _ = fs::copy(from.join(name), to.join(name));
        }
        Ok(())
    });
    copied.await.unwrap();
    Some(after)
}

/// In memory where that can be had: nothing here depends on a disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

async fn play(events: &[Event]) -> Result<(), String> {
    let log = Log::default();
    let mut world = World::new(scratch(), log.clone()).await;
    for (number, event) in (1..).zip(events) {
        sleep(event.after).await;
        world = world.begin(number, event.clone()).await;
    }
    let world = world.end().await.ok_or("a request is never answered")?;
    let last = Event {
        after: Duration::ZERO,
        device: 99,
        deed: Deed::Read,
        body: Duration::ZERO,
        gives_up: None,
    };
    let events = [events, std::slice::from_ref(&last)].concat();
    let world = world.begin(events.len(), last).await;
    let world = world
        .end()
        .await
        .ok_or("the last request is never answered")?;
    world.housekeeping.abort();
    let log = log.0.lock().unwrap();
    judge::judge(&events, &log).map_err(|wrong| format!("{wrong}\n{}", judge::told(&events, &log)))
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
