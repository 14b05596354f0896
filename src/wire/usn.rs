use serde::{Deserialize, Serialize};

/// An update sequence number. With it, each side knows what the other one has not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usn(pub i32);

impl Usn {
    /// The number of objects that a client has not sent yet.
    pub const UNSENT: Self = Self(-1);

    /// Whether an object with the number `row` is new to a peer that has seen everything before `self`.
    pub fn is_new(self, row: Self) -> bool {
        if self == Self::UNSENT {
            row == Self::UNSENT
        } else {
            row >= self
        }
    }

    /// The next number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Raises the number of an arriving object to the server's own.
    ///
    /// Clients use the number that `meta` answered. If another device has finished a sync since then, it has already
    /// seen that number, and would never receive the object.
    pub fn catch_up(&mut self, server: Self) {
        if *self != Self::UNSENT {
            *self = server.max(*self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_at_or_after_the_peers_number_is_new() {
        assert!(Usn(5).is_new(Usn(5)));
        assert!(Usn(5).is_new(Usn(6)));
        assert!(!Usn(5).is_new(Usn(4)));
        assert!(!Usn(0).is_new(Usn(-1)));
    }

    #[test]
    fn what_arrives_late_catches_up_unless_it_should_not_have_been_sent() {
        let caught_up = |mut usn: Usn| {
            usn.catch_up(Usn(5));
            usn
        };
        assert_eq!(
            [3, 5, 6, -1].map(Usn).map(caught_up),
            [5, 5, 6, -1].map(Usn)
        );
    }

    #[test]
    fn a_peer_at_minus_one_sees_only_what_is_unsent() {
        assert!(Usn(-1).is_new(Usn(-1)));
        assert!(!Usn(-1).is_new(Usn(0)));
    }
}
