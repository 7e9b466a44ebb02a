//! What never was in enough training sessions to tell: an event, an event so many times, or one event without another.

use serde::{Deserialize, Serialize};

use super::core::{Pool, SessionCounts, SessionRow, repeat_key};
use crate::features::finalise;

/// Fewest training sessions without an exception that make a custom.
pub const LEAST_SUPPORT: u32 = 1_000;
/// Events of a session that are looked at two by two, those with the smallest keys.
pub const MOST_PAIRED: usize = 64;
/// Most events that are asked for what always comes with them, the most frequent ones.
const MOST_USUAL: usize = 256;
/// Keys beyond which rare ones may have been forgotten, so that what is alone cannot be counted.
const MOST_KEYS: usize = 6_000;

/// Key of two events of one session.
pub fn pair_key(a: u64, b: u64) -> u64 {
    finalise(a.min(b) ^ finalise(a.max(b)))
}

/// The sorts of what never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// An event that no session like it has.
    Event,
    /// An event so many times as in no session like it.
    Repeat,
    /// An event without another that every session with it has.
    Missing,
}

/// All sorts.
pub const SORTS: [Sort; 3] = [Sort::Event, Sort::Repeat, Sort::Missing];

/// One thing of a session that no training session like it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Never {
    /// What sort of thing.
    pub sort: Sort,
    /// The event; of a missing one the other, that is there.
    pub event: u64,
    /// How many lines it has.
    pub count: u32,
    /// What is missing, else the event itself.
    pub lacks: u64,
    /// Training sessions without an exception.
    pub support: u32,
}

/// What holds of all sessions of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Customs {
    /// Events of 1,000 sessions or more, keys ascending, each with those that every session with it has, ascending.
    pub companions: Vec<(u64, Vec<u64>)>,
    /// How many things, by [`Sort`], only one training session had: no more sessions than that were alone with one, and
    /// by Good's estimate (Biometrika, 1953) no greater a share of those to come brings what never was.
    pub alone: [u64; 3],
}

impl Customs {
    /// None where there are too few sessions, or too many different things in them.
    pub(super) fn of(pool: &Pool) -> Self {
        let events = pool.events.pairs();
        let repeats = pool.repeats.pairs();
        if pool.events.lines() < u64::from(LEAST_SUPPORT) || repeats.len() > MOST_KEYS {
            return Self::default();
        }
        let once = |pairs: &[(u64, u32)]| pairs.iter().filter(|(_, seen)| *seen == 1).count() as u64;
        let mut usual: Vec<_> = events.iter().filter(|(_, seen)| *seen >= LEAST_SUPPORT).copied().collect();
        usual.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        usual.truncate(MOST_USUAL);
        usual.sort_unstable();
        let mut alone = [once(&events), once(&repeats), 0];
        let mut companions = Vec::new();
        for (event, seen) in &usual {
            let mut always = Vec::new();
            for (other, _) in usual.iter().filter(|(other, _)| other != event) {
                let together = pool.pairs_seen(*event, *other);
                alone[2] += u64::from(together + 1 == *seen);
                if together == *seen {
                    always.push(*other);
                }
            }
            companions.push((*event, always));
        }
        Self { companions, alone }
    }

    /// Whether it could be what training made.
    pub fn is_sound(&self) -> bool {
        self.companions.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && self.companions.iter().all(|(_, always)| always.is_sorted())
    }
}

impl SessionCounts {
    /// What of a session no training session like it had, of the sorts that are asked for; each missing event once.
    /// `None` where too few are like it to say.
    pub(super) fn never(&self, row: &SessionRow, sorts: &[Sort]) -> Option<Vec<Never>> {
        let pool = self.like(row);
        let companions = &pool.customs.companions;
        if companions.is_empty() || sorts.is_empty() {
            return None;
        }
        let mut found: Vec<Never> = Vec::new();
        for (event, count) in &row.events {
            let (event, count) = (*event, *count);
            let support = pool.events.seen(event);
            let of = |sort, lacks, support| Never { sort, event, count, lacks, support };
            if support == 0 {
                found.push(of(Sort::Event, event, u32::try_from(pool.events.lines()).unwrap_or(u32::MAX)));
            } else if support >= LEAST_SUPPORT && pool.repeats.seen(repeat_key(event, count)) == 0 {
                found.push(of(Sort::Repeat, event, support));
            }
            let Ok(at) = companions.binary_search_by_key(&event, |(event, _)| *event) else { continue };
            for lacks in &companions[at].1 {
                let is_there = row.events.binary_search_by_key(lacks, |(event, _)| *event).is_ok();
                if is_there {
                    continue;
                }
                let missing = of(Sort::Missing, *lacks, support);
                match found.iter_mut().find(|one| one.sort == Sort::Missing && one.lacks == *lacks) {
                    Some(held) if held.support < support => *held = missing,
                    Some(_) => {}
                    None => found.push(missing),
                }
            }
        }
        found.retain(|one| sorts.contains(&one.sort));
        Some(found)
    }

    /// Share of the sessions to come, at most, that brings something of a sort which never was.
    pub(super) fn share_alone(&self, sort: Sort) -> f64 {
        let of = |pool: &Pool| pool.customs.alone[sort as usize];
        let alone = if self.kins.is_empty() { of(&self.all) } else { self.kins.values().map(of).sum() };
        alone as f64 / self.all.events.lines().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(events: &[(u64, u32)]) -> SessionRow {
        SessionRow { events: events.to_vec(), ..SessionRow::default() }
    }

    /// 1,500 sessions: 1 and 3 always, 2 once to three times, 4 in one of two; ten that break off after 1.
    fn counts() -> SessionCounts {
        let mut counts = SessionCounts::default();
        for n in 0..1_500 {
            let whole = [(1, 1), (2, 1 + n % 3), (3, 1), (4, 1)];
            counts.add(&row(if n % 150 == 0 { &whole[..1] } else { &whole[..3 + (n % 2) as usize] }));
        }
        counts.settle();
        counts
    }

    fn never(counts: &SessionCounts, events: &[(u64, u32)]) -> Vec<(Sort, u64, u64)> {
        let found = counts.never(&row(events), &SORTS).unwrap();
        found.into_iter().map(|one| (one.sort, one.event, one.lacks)).collect()
    }

    #[test]
    fn what_always_came_along_is_missed_and_what_some_lack_is_not() {
        let counts = counts();
        assert_eq!(never(&counts, &[(1, 1), (2, 2), (3, 1), (4, 1)]), []);
        assert_eq!(never(&counts, &[(1, 1)]), [], "some break off");
        assert_eq!(never(&counts, &[(1, 1), (2, 1), (3, 1)]), []);
        assert_eq!(never(&counts, &[(1, 1), (3, 1)]), [(Sort::Missing, 3, 2)]);
        assert_eq!(never(&counts, &[(2, 1), (3, 1)]), [(Sort::Missing, 2, 1)]);
    }

    #[test]
    fn more_lines_than_ever_and_an_event_of_nobody_are_told_and_only_what_is_asked_for() {
        let counts = counts();
        let odd = [(1, 1), (2, 4), (3, 1), (9, 1)];
        assert_eq!(never(&counts, &odd), [(Sort::Repeat, 2, 2), (Sort::Event, 9, 9)]);
        let asked = counts.never(&row(&odd), &[Sort::Event]).unwrap();
        assert_eq!(asked.len(), 1);
        assert_eq!(counts.never(&row(&odd), &[]), None);
    }

    #[test]
    fn fewer_than_a_thousand_sessions_make_no_custom() {
        let mut counts = SessionCounts::default();
        (0..999).for_each(|_| counts.add(&row(&[(1, 1), (2, 1)])));
        counts.settle();
        assert_eq!(counts.never(&row(&[(1, 1)]), &SORTS), None);
    }

    #[test]
    fn what_one_session_alone_had_foretells_how_many_more_will() {
        let mut counts = SessionCounts::default();
        (0..1_997).for_each(|_| counts.add(&row(&[(1, 1), (2, 1)])));
        counts.add(&row(&[(1, 1), (2, 2)]));
        counts.add(&row(&[(1, 1)]));
        counts.add(&row(&[(1, 1), (2, 1), (7, 1)]));
        counts.settle();
        // 7 once, and it and 2 twice so often once; 1 without 2 once.
        assert_eq!(SORTS.map(|sort| counts.share_alone(sort) * 2_000.0), [1.0, 2.0, 1.0]);
    }
}
