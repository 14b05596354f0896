//! Which snapshots are kept, as a pure function.

use crate::disk::MIB;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

/// The limits on a user's snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest are kept; with 0, uploads make none.
    pub newest: usize,
    /// For how many days, including today, each day's first one is also kept.
    pub days: u32,
    /// The most bytes. Beyond that, the oldest are removed first.
    pub bytes: u64,
}

impl Retention {
    /// Keeps everything.
    pub const ALL: Self = Self {
        newest: usize::MAX,
        days: u32::MAX,
        bytes: u64::MAX,
    };
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            newest: 5,
            days: 14,
            bytes: 1024 * MIB,
        }
    }
}

/// An existing snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its size on disk.
    pub bytes: u64,
    /// Whether the collection was damaged, so that only recovery tools can use it.
    pub damaged: bool,
}

impl Retention {
    /// The snapshots to remove, from a list that begins with the oldest. Damaged ones are counted
    /// separately, and displace no undamaged one.
    pub fn surplus(&self, snapshots: &[Candidate], now_ms: i64) -> Vec<usize> {
        let of_kind = |damaged| {
            let numbers = 0..snapshots.len();
            let kind: Vec<_> = numbers
                .filter(|number| snapshots[*number].damaged == damaged)
                .collect();
            let alike: Vec<_> = kind.iter().map(|number| snapshots[*number]).collect();
            let surplus = self.surplus_of_kind(&alike, now_ms);
            surplus.into_iter().map(move |number| kind[number])
        };
        of_kind(false).chain(of_kind(true)).collect()
    }

    /// Never the newest: it undoes the last upload.
    ///
    /// The first one of a day stays, so that a user who uploads again and again in a panic does not
    /// displace the state before.
    fn surplus_of_kind(self, snapshots: &[Candidate], now_ms: i64) -> Vec<usize> {
        let day = |number: usize| snapshots[number].at_ms.div_euclid(MS_PER_DAY);
        let oldest_day = now_ms.div_euclid(MS_PER_DAY) - i64::from(self.days);
        let first_of_newest = snapshots.len().saturating_sub(self.newest.max(1));
        let stays = |number: usize| {
            let first_of_its_day = number == 0 || day(number - 1) != day(number);
            number >= first_of_newest || (first_of_its_day && day(number) > oldest_day)
        };
        let mut surplus: Vec<usize> = (0..snapshots.len())
            .filter(|number| !stays(*number))
            .collect();
        let mut room = self.bytes;
        for number in (0..snapshots.len()).rev().filter(|number| stays(*number)) {
            match room.checked_sub(snapshots[number].bytes) {
                Some(rest) => room = rest,
                None => {
                    // Older ones are removed as well, or there would be gaps.
                    room = 0;
                    if number + 1 != snapshots.len() {
                        surplus.push(number);
                    }
                }
            }
        }
        surplus
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NOW: i64 = 100 * MS_PER_DAY + MS_PER_DAY / 2;

    /// Each is a time in hours before now, and a size.
    fn snapshots(given: &[(i64, u64)]) -> Vec<Candidate> {
        let mut snapshots: Vec<_> = given
            .iter()
            .map(|(hours, bytes)| Candidate {
                at_ms: NOW - hours * 60 * 60 * 1000,
                bytes: *bytes,
                damaged: false,
            })
            .collect();
        snapshots.sort_by_key(|snapshot| snapshot.at_ms);
        snapshots
    }

    fn staying(retention: Retention, given: &[Candidate]) -> Vec<usize> {
        let surplus = retention.surplus(given, NOW);
        (0..given.len())
            .filter(|number| !surplus.contains(number))
            .collect()
    }

    #[test]
    fn the_newest_stay_and_of_older_ones_each_days_first() {
        let retention = Retention {
            newest: 2,
            days: 3,
            bytes: 1000,
        };
        // It is noon: 13 hours ago was yesterday, 37 the day before, 61 too old.
        let given = snapshots(&[
            (61, 1),
            (38, 1),
            (37, 1),
            (14, 1),
            (13, 1),
            (3, 1),
            (2, 1),
            (1, 1),
        ]);
        assert_eq!(staying(retention, &given), [1, 3, 5, 6, 7]);
    }

    #[test]
    fn what_was_there_before_a_day_of_panic_stays() {
        let given = snapshots(&(1..=11).map(|hours| (hours, 1)).collect::<Vec<_>>());
        assert_eq!(staying(Retention::default(), &given), [0, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn when_room_is_scarce_the_oldest_go_and_the_newest_stays_whatever_its_size() {
        let retention = |bytes| Retention {
            newest: 5,
            days: 0,
            bytes,
        };
        let given = snapshots(&[(4, 1), (3, 50), (2, 30), (1, 30)]);
        assert_eq!(staying(retention(111), &given), [0, 1, 2, 3]);
        assert_eq!(staying(retention(110), &given), [1, 2, 3]);
        assert_eq!(staying(retention(100), &given), [2, 3]);
        assert_eq!(staying(retention(1), &given), [3]);
    }

    proptest! {
        #[test]
        fn of_the_whole_ones_the_same_stay_whatever_damaged_ones_there_are(
            given in vec((0_i64..2000, 1_u64..100, any::<bool>()), 1..40),
            newest in 0_usize..8, days in 0_u32..30, bytes in 0_u64..1000,
        ) {
            let of_kind = |kind: &[bool]| {
                let alike: Vec<_> = given.iter().filter(|one| kind.contains(&one.2)).collect();
                let mut candidates: Vec<_> = alike.iter().map(|(hours, bytes, damaged)| Candidate {
                    at_ms: NOW - hours * 60 * 60 * 1000,
                    bytes: *bytes,
                    damaged: *damaged,
                }).collect();
                candidates.sort_by_key(|candidate| candidate.at_ms);
                let kept = staying(Retention { newest, days, bytes }, &candidates);
                kept.into_iter().map(|number| candidates[number]).collect::<Vec<_>>()
            };
            let (mut whole, mut damaged) = (of_kind(&[false]), of_kind(&[true]));
            prop_assert_eq!(whole.is_empty(), given.iter().all(|one| one.2));
            let all = of_kind(&[false, true]);
            whole.append(&mut damaged);
            prop_assert_eq!(all.len(), whole.len());
            prop_assert!(whole.iter().all(|one| all.contains(one)));
        }

        #[test]
        fn the_newest_one_always_stays_and_the_rest_fits(
            given in vec((0_i64..2000, 1_u64..100), 1..40),
            newest in 0_usize..8, days in 0_u32..30, bytes in 0_u64..1000,
        ) {
            let given = snapshots(&given);
            let retention = Retention { newest, days, bytes };
            let kept = staying(retention, &given);
            prop_assert_eq!(kept.last(), Some(&(given.len() - 1)));
            let total: u64 = kept.iter().map(|number| given[*number].bytes).sum();
            prop_assert!(total <= bytes || kept.len() == 1);
            prop_assert!(kept.len() <= newest.max(1) + days as usize);
        }

        #[test]
        fn with_room_enough_each_of_the_last_days_keeps_one_and_none_of_the_newest_goes(
            given in vec((0_i64..2000, 1_u64..100), 1..40),
            newest in 0_usize..8, days in 0_u32..30,
        ) {
            let given = snapshots(&given);
            let kept = staying(Retention { newest, days, bytes: u64::MAX }, &given);
            let day = |at_ms: i64| at_ms.div_euclid(MS_PER_DAY);
            for (number, snapshot) in given.iter().enumerate() {
                if day(NOW) - day(snapshot.at_ms) < i64::from(days) {
                    let same_day = |other: &&usize| day(given[**other].at_ms) == day(snapshot.at_ms);
                    prop_assert!(kept.iter().any(|other| same_day(&other)));
                }
                if number + newest >= given.len() {
                    prop_assert!(kept.contains(&number));
                }
            }
        }

        #[test]
        fn removing_the_surplus_leaves_nothing_more_to_remove(
            given in vec((0_i64..2000, 1_u64..100), 1..40),
            newest in 0_usize..8, days in 0_u32..30, bytes in 0_u64..1000,
        ) {
            let given = snapshots(&given);
            let retention = Retention { newest, days, bytes };
            let left: Vec<_> = staying(retention, &given).iter().map(|n| given[*n]).collect();
            prop_assert_eq!(retention.surplus(&left, NOW), Vec::<usize>::new());
        }
    }
}
