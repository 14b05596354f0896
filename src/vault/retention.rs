//! Which snapshots stay, as a pure function of what there is.

use crate::disk::MIB;

const MS_PER_DAY: i64 = 24 * 60 * 60 * 1000;

/// How many snapshots a user's collection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest; with 0, none are made before uploads.
    pub newest: usize,
    /// And each day's first one, for so many days, today included.
    pub days: u32,
    /// But no more bytes than this, the oldest going first.
    pub bytes: u64,
}

impl Retention {
    /// Nothing ever goes.
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

/// One of the snapshots that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Whether it is of use only to tools that recover what they can.
    pub damaged: bool,
}

impl Retention {
    /// Which of the snapshots, given from the oldest to the newest, are to go. Those that
    /// are damaged count for themselves, and push out none that is whole.
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

    /// Never the newest: it is what undoes the upload that has just been made.
    ///
    /// Of a day the first one stays, so that a person who uploads again and again, as
    /// happens in a panic, does not push out what was there before.
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
                    // What is older goes as well, or there would be gaps.
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

    /// Each a time in hours before now, and a size.
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
        // Noon today; so 13 hours ago is yesterday, 37 the day before, 61 too old.
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
