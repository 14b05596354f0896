use tokio::time::advance;

use super::*;
use crate::{
    account::PasswordMark,
    http::method::{self, Full, Keyed, Normal},
    media::Taken,
};

fn device(number: u8) -> Device {
    Device {
        user: "anna".parse().unwrap(),
        id: [number; 12].into(),
        password: PasswordMark::default(),
    }
}

fn files(files: u64) -> Media {
    let bytes = files * 1024;
    Media { files, bytes }
}

/// Devices whose requests follow each other.
#[derive(Default)]
struct World {
    visits: Visits,
    lines: Vec<String>,
}

impl World {
    /// A request that takes a tenth of a second.
    async fn ask(&mut self, number: u8, method: Keyed, change: impl FnOnce(&mut Visit)) {
        let (device, began) = (device(number), Instant::now());
        let over = self.visits.enter(&device, method.rules().step);
        self.write(over);
        advance(Duration::from_millis(100)).await;
        self.visits.with(device.id, |visit| {
            change(visit);
            visit.leave(began);
        });
        let over = self.visits.take_over();
        self.write(over);
    }

    async fn wait(&mut self, secs: u64) {
        advance(Duration::from_secs(secs)).await;
        let over = self.visits.take_over();
        self.write(over);
    }

    fn write(&mut self, over: Vec<Visit>) {
        let lines = over.into_iter().filter(Visit::is_worth_a_line);
        self.lines.extend(lines.map(|visit| visit.to_string()));
    }

    async fn normal_sync(&mut self, number: u8, sent: usize) {
        self.ask(number, Keyed::Meta, |_| {}).await;
        self.ask(number, Keyed::Normal(Normal::Start), |_| {}).await;
        self.ask(number, Keyed::Normal(Normal::Chunk), |_| {}).await;
        let cards = Cards::Synced { sent, received: 0 };
        self.ask(number, Keyed::Normal(Normal::Finish), |visit| {
            visit.did_cards(entry(), cards);
        })
        .await;
    }

    async fn media_sync(&mut self, number: u8) {
        self.ask(number, Keyed::Media(method::Media::Changes), |_| {})
            .await;
        for _ in 0..2 {
            let deed = MediaDeed::Received(files(25));
            self.ask(number, Keyed::Media(method::Media::Download), |visit| {
                visit.did_media(entry(), deed);
            })
            .await;
        }
        let taken = Taken {
            files: files(3),
            removed: 1,
        };
        let deed = MediaDeed::Sent(taken);
        self.ask(number, Keyed::Media(method::Media::Upload), |visit| {
            visit.did_media(entry(), deed);
        })
        .await;
        let deed = MediaDeed::Compared;
        self.ask(number, Keyed::Media(method::Media::Sanity), |visit| {
            visit.did_media(entry(), deed);
        })
        .await;
    }
}

fn entry() -> Entry {
    Entry::new("finish", None)
}

#[tokio::test(start_paused = true)]
async fn cards_and_media_are_one_line_as_soon_as_the_media_are_compared() {
    let mut world = World::default();
    world.normal_sync(1, 3).await;
    world.wait(4).await;
    assert!(world.lines.is_empty());
    world.media_sync(1).await;
    assert_eq!(
        world.lines,
        ["sent 3, received 0; media: sent 3 (3.00 KiB), received 50 (50.00 KiB), removed 1; 4.8 s"]
    );
    // Media only, as happens now and then while Anki is open.
    world.media_sync(1).await;
    assert!(
        world.lines[1].starts_with("media: sent 3"),
        "{:?}",
        world.lines
    );
    assert!(world.visits.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sync_without_media_is_a_line_after_a_silence_or_before_the_next_sync() {
    let mut world = World::default();
    world.normal_sync(1, 3).await;
    world.normal_sync(1, 4).await;
    assert_eq!(world.lines, ["sent 3, received 0; 0.3 s"]);
    world.wait(4).await;
    assert_eq!(world.lines.len(), 1);
    world.wait(1).await;
    assert_eq!(world.lines[1..], ["sent 4, received 0; 0.3 s"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_a_line_unless_there_is_something_after_all() {
    let mut world = World::default();
    let asked = |visit: &mut Visit| visit.did_cards(entry(), Cards::Unchanged);
    world.ask(1, Keyed::Meta, asked).await;
    world.wait(5).await;
    assert_eq!(world.lines, ["nothing new; 0.1 s"]);
    // The device has changes, which are then refused.
    world.ask(1, Keyed::Meta, asked).await;
    world.ask(1, Keyed::Normal(Normal::Start), |_| {}).await;
    world.ask(1, Keyed::Normal(Normal::Abort), |_| {}).await;
    world.wait(5).await;
    assert_eq!(world.lines.len(), 1);
    world.ask(1, Keyed::Meta, asked).await;
    world.media_sync(1).await;
    assert!(world.lines[1].starts_with("media: "), "{:?}", world.lines);
    // `meta` did not answer the state that the device has, so asking counts as nothing.
    world.ask(1, Keyed::Meta, |_| {}).await;
    world.wait(5).await;
    assert_eq!(world.lines.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_thinks_for_long_in_the_middle_is_waited_for() {
    let mut world = World::default();
    world
        .ask(1, Keyed::Normal(Normal::Start), |visit| {
            visit.traffic.received += 7;
        })
        .await;
    world.wait(50).await;
    let cards = Cards::Synced {
        sent: 1,
        received: 0,
    };
    world
        .ask(1, Keyed::Normal(Normal::Finish), |visit| {
            assert_eq!(visit.traffic.received, 7);
            visit.did_cards(entry(), cards);
        })
        .await;
    world.wait(5).await;
    assert_eq!(world.lines, ["sent 1, received 0; 50.2 s"]);
    world.ask(1, Keyed::Normal(Normal::Start), |_| {}).await;
    world.wait(ABANDONED.as_secs()).await;
    assert!(world.visits.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn many_devices_at_once_fill_no_memory() {
    let mut world = World::default();
    for number in 0..=u16::MAX {
        let [high, low] = number.to_be_bytes();
        let mut id = [0; 12];
        (id[0], id[1]) = (high, low);
        let device = Device {
            id: id.into(),
            ..device(0)
        };
        let over = world
            .visits
            .enter(&device, Keyed::Full(Full::Upload).rules().step);
        world.write(over);
        let cards = Cards::Uploaded { bytes: 2048 };
        world.visits.with(device.id, |visit| {
            visit.did_cards(entry(), cards);
            visit.requests -= 1;
        });
    }
    assert_eq!(world.visits.lock().len(), MOST);
    assert_eq!(world.lines.len(), usize::from(u16::MAX) + 1 - MOST);
    assert_eq!(world.lines[0], "uploaded the collection (2.00 KiB); 0.0 s");
}
