//! A server that the events act on, one after the other or at once.

use super::*;

/// A request under way. Dropping it ends it, as when a client breaks off.
struct Present {
    log: Log,
    event: usize,
    active: Option<crate::vault::activity::ActiveRequest>,
}

impl Present {
    fn new(log: &Log, event: usize, vault: Option<(&Arc<Vault>, DeviceId)>) -> Self {
        log.note(event, What::Arrived);
        Self {
            log: log.clone(),
            event,
            active: vault.map(|(vault, device)| vault.active_request(device)),
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        drop(self.active.take());
        self.log.note(self.event, What::Left);
    }
}

/// A request on its way through the vault.
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
        let begun = self.vault.start(self.device, ROOM, move |conn| {
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
                // Without the message of a panic.
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
        let vault = Arc::clone(&self.vault);
        let replaced = self.vault.in_turn_alone(self.device, move |open| {
            log.worked(event, &path, vault.opened(open)?.collection.connection());
            vault.install(file, open, None, |_| Ok(()))
        });
        replaced.await.map(drop)
    }
}

async fn back_up(vault: Arc<Vault>, log: Log, event: usize, lasts: Duration) {
    let (path, turns) = (vault.collection_path(), vault.turns.clone());
    let log_in_turn = log.clone();
    let opening = Arc::clone(&vault);
    let reading = vault.collection.run(&vault.operator, move |open| {
        opening.opened(open).unwrap();
        let reader = Reader::open(&path).unwrap();
        let outside = read(reader.connection());
        let inside = outside;
        log_in_turn.note(event, What::Worked { inside, outside });
        Ok((turns.read(), reader, outside))
    });
    let (reading, reader, found) = reading.await.unwrap();
    let present = Present::new(&log, event, None);
    sleep(lasts).await;
    assert_eq!(read(reader.connection()), found);
    drop(reader);
    drop(present);
    drop(reading);
}

/// The server, and its present work.
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

    /// None if a request got no answer.
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

/// The state on disk after a kill at this moment.
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

/// In memory if possible: nothing here depends on a disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub async fn play(events: &[Event]) -> Result<(), String> {
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
    judge::judge(&events, &log)
        .map_err(|wrong| format!("{wrong}\n{}", judge::as_text(&events, &log)))
}
