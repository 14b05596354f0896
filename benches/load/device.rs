//! A device that keeps no collection, but knows enough of it to sync.

use std::{
    io::{Cursor, Write},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use rusqlite::Connection as Database;
use serde_json::{Value, json};
use unicase::UniCase;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::connection::{Connection, frame, text};

/// Files in a batch of media, and bytes of each: a few sounds or pictures.
const MEDIA: usize = 3;
const MEDIA_BYTES: usize = 20_000;
/// Different from reviews' own times in the collection.
const FIRST_REVIEW: i64 = 1_800_000_000_000;

/// What all users upload first.
pub struct Collection {
    frame: Bytes,
    /// Numbers of cards, notes, reviews, notetypes, decks and presets.
    counts: [i64; 6],
    /// One card, as it is sent.
    card: Vec<Value>,
}

impl Collection {
    pub fn read(path: &Path) -> Self {
        let database = Database::open(path).unwrap();
        // Counting uses an index by name, in Anki's order.
        database
            .create_collation("unicase", |one, other| {
                UniCase::new(one).cmp(&UniCase::new(other))
            })
            .unwrap();
        let count = |table: &str| {
            let sql = format!("select count(*) from {table}");
            database.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let tables = [
            "cards",
            "notes",
            "revlog",
            "notetypes",
            "decks",
            "deck_config",
        ];
        let (id, note, deck): (i64, i64, i64) = database
            .query_row("select id, nid, did from cards limit 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        let mut card = vec![json!(id), json!(note), json!(deck)];
        // From the template's number to the original deck's; `send` sets those that change.
        card.extend([0, 0, 0, 2, 2, 1, 1, 2500, 1, 0, 0, 0, 0, 0].map(Value::from));
        card.push(json!("{}"));
        Self {
            counts: tables.map(count),
            frame: frame(&std::fs::read(path).unwrap()),
            card,
        }
    }
}

pub struct Device {
    server: SocketAddr,
    number: usize,
    collection: Arc<Collection>,
    key: String,
    usn: i64,
    reviews: i64,
    media: usize,
}

impl Device {
    pub async fn log_in(
        server: SocketAddr,
        number: usize,
        collection: Arc<Collection>,
    ) -> Result<Self, String> {
        let mut device = Self {
            server,
            number,
            collection,
            key: String::new(),
            usn: 0,
            reviews: 0,
            media: 0,
        };
        let login = json!({"u": format!("u{number}"), "p": "p"});
        let answer = device.connect().await?.ask("/sync/hostKey", &login).await?;
        let key = answer["key"].as_str().ok_or("no key")?;
        key.clone_into(&mut device.key);
        Ok(device)
    }

    async fn connect(&self) -> Result<Connection, String> {
        let [.., high, low] = u32::try_from(self.number + 1).unwrap().to_be_bytes();
        let own = Ipv4Addr::new(127, 77, high, low);
        Connection::open(self.server, own, &self.key).await
    }

    /// Different for each device, from 0 to 1.
    pub fn fraction(&self) -> f64 {
        f64::from(u32::try_from(self.number * 617 % 1000).unwrap()) / 1000.0
    }

    pub async fn upload(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        self.meta(&mut connection).await?;
        let frame = self.collection.frame.clone();
        let answer = connection.post("/sync/upload", frame).await?;
        if answer != b"OK" {
            return Err(String::from_utf8_lossy(&answer).into_owned());
        }
        self.usn = self.meta(&mut connection).await?;
        Ok(())
    }

    /// The server's USN.
    async fn meta(&self, connection: &mut Connection) -> Result<i64, String> {
        let message = json!({"v": 11, "cv": "anki,26.09.3 (load),linux"});
        let meta = connection.ask("/sync/meta", &message).await?;
        if meta["cont"] != true {
            return Err(meta.to_string());
        }
        meta["usn"].as_i64().ok_or_else(|| meta.to_string())
    }

    /// Looks whether there is anything new: collection and media.
    pub async fn sync_nothing(&mut self) -> Result<(), String> {
        self.meta(&mut self.connect().await?).await.map(drop)
    }

    /// Sends one review and its card.
    pub async fn sync_review(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let usn = self.meta(&mut connection).await?;
        let start = json!({"minUsn": self.usn, "lnewer": false, "graves": null});
        connection.ask("/sync/start", &start).await?;
        let changes = json!({"changes": {"models": [], "decks": [[], []], "tags": []}});
        connection.ask("/sync/applyChanges", &changes).await?;
        let nothing = json!({"_pad": null});
        while connection.ask("/sync/chunk", &nothing).await?["done"] != true {}
        let chunk = json!({"chunk": self.review(usn)});
        connection.ask("/sync/applyChunk", &chunk).await?;
        let [cards, notes, reviews, notetypes, decks, presets] = self.collection.counts;
        let reviews = reviews + self.reviews + 1;
        let counts = json!([
            [0, 0, 0],
            cards,
            notes,
            reviews,
            0,
            notetypes,
            decks,
            presets
        ]);
        let sanity = json!({"client": counts});
        let answer = connection.ask("/sync/sanityCheck2", &sanity).await?;
        if answer["status"] != "ok" {
            return Err("the sanity check failed".to_owned());
        }
        connection.ask("/sync/finish", &nothing).await?;
        (self.usn, self.reviews) = (usn + 1, self.reviews + 1);
        Ok(())
    }

    fn review(&self, usn: i64) -> Value {
        let mut card = self.collection.card.clone();
        let time = FIRST_REVIEW + self.reviews;
        // Its time in seconds, its USN and its repetitions.
        (card[4], card[5], card[11]) = (json!(time / 1000), json!(usn), json!(self.reviews + 1));
        let review = json!([time, card[0], usn, 3, 1, 1, 2500, 4000, 1]);
        json!({"done": true, "revlog": [review], "cards": [card]})
    }

    /// Sends some new files.
    pub async fn sync_media(&mut self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let begin = json!({"v": "anki,26.09.3 (load),linux"});
        connection.ask("/msync/begin", &begin).await?;
        let zip = frame(&self.batch().map_err(text)?);
        let answer = connection.post("/msync/uploadChanges", zip).await?;
        let answer: Value = serde_json::from_slice(&answer).map_err(text)?;
        if answer["data"][0] != MEDIA {
            return Err(answer.to_string());
        }
        self.media += MEDIA;
        let sanity = json!({"local": self.media});
        let answer = connection.ask("/msync/mediaSanity", &sanity).await?;
        if answer["data"] != "OK" {
            return Err(answer.to_string());
        }
        Ok(())
    }

    fn batch(&self) -> zip::result::ZipResult<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        let mut meta = Vec::new();
        for part in 0..MEDIA {
            let number = self.media + part;
            let mut content = vec![0; MEDIA_BYTES];
            getrandom::fill(&mut content).map_err(std::io::Error::from)?;
            zip.start_file(part.to_string(), stored)?;
            zip.write_all(&content)?;
            meta.push(json!([format!("sound {number}.mp3"), part.to_string()]));
        }
        zip.start_file("_meta", stored)?;
        zip.write_all(json!(meta).to_string().as_bytes())?;
        Ok(zip.finish()?.into_inner())
    }
}
