//! Reads a large message from a file, one object after the other.
//!
//! Only one object is in memory at a time. A list of many small objects would otherwise take many
//! times the memory of its text.

mod meter;

use std::{
    fmt,
    io::{self, BufReader, Read},
    rc::Rc,
};

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::Malformed;
use meter::{Exceeded, Meter, Metered};
pub use meter::{LARGE_OBJECT, LARGEST_OBJECT, Turn};

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or not of the shape that its method requires.
    #[error("the request cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// An object above [`LARGEST_OBJECT`].
    #[error("one object in the request is larger than {} MiB", LARGEST_OBJECT / (1024 * 1024))]
    TooLarge,
    /// It took too long: no client waits for the answer any more.
    #[error("the request took longer than a client waits")]
    TooLong,
    /// The file could not be read.
    #[error("the stored request body cannot be read: {0}")]
    Io(#[source] io::Error),
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        if !error.is_io() {
            return Self::Malformed(error.into());
        }
        let error = io::Error::from(error);
        match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(Exceeded::Size) => Self::TooLarge,
            Some(Exceeded::Time) => Self::TooLong,
            None => Self::Io(error),
        }
    }
}

/// A JSON object that is read member by member.
pub(super) trait Message {
    /// The type of the objects in its lists.
    type Item;
    /// Its keys, and whether each is required.
    const KEYS: &'static [(&'static str, bool)];

    /// Reads the value of a key, one of [`Self::KEYS`].
    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        key: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, Self::Item, E>,
    ) -> Result<(), A::Error>;
}

/// Reads a message, and passes on each object at once.
pub(super) fn read<M: Message, E: From<Unreadable>>(
    body: impl Read,
    mut message: M,
    mut each: impl FnMut(M::Item) -> Result<(), E>,
) -> Result<M, E> {
    let meter = Rc::new(Meter::default());
    let mut sink = Sink {
        each: &mut each,
        failure: None,
        meter: Rc::clone(&meter),
    };
    let body = BufReader::new(Metered::new(body, meter));
    let mut deserializer = serde_json::Deserializer::from_reader(body);
    let read = sink
        .object(&mut message)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match (sink.failure, read) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(message),
        (None, Err(error)) => Err(Unreadable::from(error).into()),
    }
}

/// Receives the objects.
pub(super) struct Sink<'a, T, E> {
    each: &'a mut dyn FnMut(T) -> Result<(), E>,
    /// Kept beside the parser, since the parser's errors are text.
    failure: Option<E>,
    meter: Rc<Meter>,
}

impl<'a, T, E> Sink<'a, T, E> {
    /// Passes an object on.
    pub(super) fn take<D: Error>(&mut self, item: T) -> Result<(), D> {
        let taken = (self.each)(item).map_err(|failure| {
            self.failure = Some(failure);
            D::custom("given up")
        });
        self.meter.begin_anew();
        taken
    }

    /// Reads an object in the message.
    pub(super) fn object<'s, M: Message<Item = T>>(
        &'s mut self,
        message: &'s mut M,
    ) -> Object<'s, 'a, M, E> {
        Object {
            message,
            sink: self,
        }
    }

    /// Reads a list.
    pub(super) fn list<I: DeserializeOwned>(&mut self, item: fn(I) -> T) -> List<'_, 'a, I, T, E> {
        List { item, sink: self }
    }
}

pub(super) struct Object<'s, 'a, M: Message, E> {
    message: &'s mut M,
    sink: &'s mut Sink<'a, M::Item, E>,
}

impl<'de, M: Message, E> DeserializeSeed<'de> for Object<'_, '_, M, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, M: Message, E> Visitor<'de> for Object<'_, '_, M, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = vec![false; M::KEYS.len()];
        while let Some(key) = map.next_key::<String>()? {
            let Some(number) = M::KEYS.iter().position(|(known, _)| *known == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let (key, _) = M::KEYS[number];
            if std::mem::replace(&mut seen[number], true) {
                return Err(A::Error::duplicate_field(key));
            }
            self.message.member(key, &mut map, self.sink)?;
        }
        let mut keys = M::KEYS.iter().zip(seen);
        match keys.find(|((_, required), seen)| *required && !seen) {
            Some(((missing, _), _)) => Err(A::Error::missing_field(missing)),
            None => Ok(()),
        }
    }
}

pub(super) struct List<'s, 'a, I, T, E> {
    item: fn(I) -> T,
    sink: &'s mut Sink<'a, T, E>,
}

impl<'de, I: DeserializeOwned, T, E> DeserializeSeed<'de> for List<'_, '_, I, T, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, I: DeserializeOwned, T, E> Visitor<'de> for List<'_, '_, I, T, E> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            self.sink.take((self.item)(element))?;
        }
        Ok(())
    }
}

/// Reads with `S`, unless the value is null.
pub(super) struct Nullable<S>(pub(super) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or null")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// A message that is the only member of another one.
pub(super) struct Within<M>(pub(super) M);

/// The name of that member.
pub(super) trait Named: Message {
    const NAME: &'static str;
}

impl<M: Named> Message for Within<M> {
    type Item = M::Item;
    const KEYS: &'static [(&'static str, bool)] = &[(M::NAME, true)];

    fn member<'de, A: MapAccess<'de>, E>(
        &mut self,
        _: &'static str,
        map: &mut A,
        sink: &mut Sink<'_, M::Item, E>,
    ) -> Result<(), A::Error> {
        map.next_value_seed(sink.object(&mut self.0))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Malformed, Unreadable};

    /// All objects of a message, for tests.
    pub fn all<T, M>(
        read: impl FnOnce(&mut dyn FnMut(T) -> Result<(), Unreadable>) -> Result<M, Unreadable>,
    ) -> Result<(M, Vec<T>), Malformed> {
        let mut all = Vec::new();
        let read = read(&mut |item| {
            all.push(item);
            Ok(())
        });
        match read {
            Ok(message) => Ok((message, all)),
            Err(Unreadable::Malformed(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chunk::{self, Item};

    #[test]
    fn objects_are_handed_on_until_one_is_too_large() {
        let small = r"[1,1,0,1,1,1,1,1,1],".repeat(2_000_000);
        let body = format!("{{\"chunk\": {{\"revlog\": [{small}[2,1,0,1,1,1,1,1,1]]}}}}");
        assert!(body.len() as u64 > LARGEST_OBJECT);
        let mut count = 0;
        let read = |body: &str, count: &mut usize| {
            chunk::read(body.as_bytes(), |_: Item| {
                *count += 1;
                Ok::<_, Unreadable>(())
            })
        };
        read(&body, &mut count).unwrap();
        assert_eq!(count, 2_000_001);
        let large = " ".repeat(usize::try_from(LARGEST_OBJECT).unwrap() + 100_000);
        let body = format!("{{\"chunk\": {{\"revlog\": [[1,1,0,1,{large}1,1,1,1,1]]}}}}");
        assert!(matches!(read(&body, &mut count), Err(Unreadable::TooLarge)));
    }

    #[test]
    fn a_failure_of_whoever_takes_them_is_the_failure() {
        let body: &[u8] = br#"{"chunk": {"revlog": [[1,1,0,1,1,1,1,1,1], "x"]}}"#;
        let read = chunk::read(body, |_: Item| Err(Unreadable::TooLarge));
        assert!(matches!(read, Err(Unreadable::TooLarge)));
    }
}
