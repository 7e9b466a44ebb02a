//! All decisions in force, as every stream's alerts are to know them.

use std::collections::{BTreeMap, BTreeSet};

use engine::alert::{AlertBook, Normal, Silence};
use jiff::Timestamp;

use super::decision::Decision;

/// All decisions at one moment.
#[derive(Debug, Default)]
pub struct View {
    version: u64,
    decisions: Vec<Decision>,
    silences: BTreeMap<String, Silence>,
    normals: BTreeSet<Normal>,
}

impl View {
    /// Of these decisions; `version` is another one with each change and not 0.
    pub fn new(version: u64, mut decisions: Vec<Decision>) -> Self {
        decisions.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        let silences = decisions.iter().filter_map(Decision::silence);
        let silences = silences.map(|silence| (silence.id.clone(), silence)).collect();
        let normals = decisions.iter().flat_map(Decision::normals).cloned().collect();
        Self { version, decisions, silences, normals }
    }

    /// Differs between two that are not the same; never 0.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The silences that are not over, newest first.
    pub fn silences(&self, now: Timestamp) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(move |one| one.silence().is_some() && !one.is_over(now))
    }

    /// What is normal, newest first.
    pub fn normals(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|one| !one.normals().is_empty())
    }

    /// One by its id.
    pub fn get(&self, id: &str) -> Option<&Decision> {
        self.decisions.iter().find(|decision| decision.id == id)
    }

    /// Makes a book know these decisions and no others.
    pub fn apply(&self, book: &mut AlertBook) {
        let known: BTreeMap<String, Silence> =
            book.silences().iter().map(|silence| (silence.id.clone(), silence.clone())).collect();
        for id in known.keys().filter(|id| !self.silences.contains_key(*id)) {
            book.unsilence(id);
        }
        for (id, silence) in self.silences.iter().filter(|(id, silence)| known.get(*id) != Some(silence)) {
            if let Err(error) = book.silence(silence.clone()) {
                // Every decision was checked before it came here.
                tracing::warn!(id, %error, "a silence cannot be used");
            }
        }
        let undone: Vec<Normal> =
            book.normals().filter(|normal| !self.normals.contains(normal)).cloned().collect();
        undone.iter().for_each(|normal| {
            book.undo_normal(normal);
        });
        self.normals.iter().for_each(|normal| {
            book.normal(normal.clone());
        });
    }
}
