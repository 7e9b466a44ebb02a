//! The most frequent texts of a stream in bounded memory: Misra and Gries, "Finding repeated elements", Science of
//! Computer Programming 2 (1982). Exact while there are no more different texts than places; beyond that a count is
//! too low by at most the number of texts divided by the places.

use hashbrown::HashMap;

/// Different texts that are counted.
pub const PLACES: usize = 1_000;

/// Counts of texts.
#[derive(Debug, Default)]
pub struct Heavy(HashMap<Box<str>, u64, foldhash::fast::RandomState>);

impl Heavy {
    /// Counts a text.
    pub fn add(&mut self, text: &str) {
        if let Some(count) = self.0.get_mut(text) {
            *count += 1;
        } else if self.0.len() < PLACES {
            self.0.insert(text.into(), 1);
        } else {
            // As many counts go as came before: one step a text on the whole.
            self.0.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }
}

/// The most frequent texts of several counts together, most frequent first; equal ones in the order of the texts.
pub fn top<'a>(counts: impl Iterator<Item = &'a Heavy>, most: usize) -> Vec<(String, u64)> {
    let mut sums: HashMap<&str, u64, foldhash::fast::RandomState> = HashMap::default();
    for (text, count) in counts.flat_map(|heavy| &heavy.0) {
        *sums.entry(text).or_default() += count;
    }
    let mut all: Vec<(&str, u64)> = sums.into_iter().collect();
    all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    all.truncate(most);
    all.into_iter().map(|(text, count)| (text.to_owned(), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_while_there_is_room() {
        let (mut one, mut other) = (Heavy::default(), Heavy::default());
        for number in 0..PLACES {
            (0..=number % 7).for_each(|_| one.add(&number.to_string()));
        }
        (0..3).for_each(|_| other.add("6"));
        let found = top([&one, &other].into_iter(), 2);
        assert_eq!(found, [("6".to_owned(), 10), ("104".to_owned(), 7)]);
    }

    #[test]
    fn a_flood_of_others_takes_no_more_than_its_share_and_no_room() {
        let mut heavy = Heavy::default();
        const FLOOD: u64 = 200_000;
        for number in 0..FLOOD {
            heavy.add(&format!("once {number}"));
            if number % 20 == 0 {
                heavy.add("often");
            }
            assert!(heavy.0.len() <= PLACES);
        }
        let (often, exact) = (heavy.0["often"], FLOOD / 20);
        assert!(often <= exact && often >= exact - (FLOOD + exact) / PLACES as u64, "{often} of {exact}");
        assert_eq!(top(std::iter::once(&heavy), 1)[0].0, "often");
    }
}
