//! A bounded memory of explanations by line key: odd lines repeat but for their numbers and identifiers, most of all
//! when there are many of them. What is answered from it is what would be computed anew.

use std::sync::Arc;

use hashbrown::HashMap;

use super::template::Template;
use crate::features::{KeyMaker, LineKey};

/// What one generation holds at most; there are two.
const MOST_LINES: usize = 1_024;
const MOST_BYTES: usize = 4 << 20;
/// A template that takes more is not remembered.
const LARGEST: usize = 64 << 10;

/// Templates of lines explained lately, of at most 2,048 keys and about 8 MiB: two generations, of which the older is
/// forgotten when the younger is full; what is asked for comes to the younger.
#[derive(Debug)]
pub struct ExplainedLines {
    maker: KeyMaker,
    young: HashMap<LineKey, Arc<Template>>,
    old: HashMap<LineKey, Arc<Template>>,
    /// Of the templates in the younger.
    bytes: usize,
    /// Digest of the model that they are of.
    model: String,
}

impl ExplainedLines {
    /// Nothing yet; see [`KeyMaker::new`] for the `seed`.
    pub fn new(seed: u128) -> Self {
        Self {
            maker: KeyMaker::new(seed),
            young: HashMap::new(),
            old: HashMap::new(),
            bytes: 0,
            model: String::new(),
        }
    }

    /// What the keys are made with.
    pub const fn key_maker(&self) -> &KeyMaker {
        &self.maker
    }

    /// Forgets everything if it followed from another model than that of `digest`.
    pub fn serve(&mut self, digest: &str) {
        if self.model != digest {
            digest.clone_into(&mut self.model);
            self.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young = HashMap::new();
        self.old = HashMap::new();
        self.bytes = 0;
    }

    /// What was remembered of a line.
    pub fn get(&mut self, key: LineKey) -> Option<Arc<Template>> {
        if let Some(template) = self.young.get(&key) {
            return Some(Arc::clone(template));
        }
        let template = self.old.remove(&key)?;
        self.put(key, &template);
        Some(template)
    }

    /// Remembers a line that [`ExplainedLines::get`] did not find.
    pub fn put(&mut self, key: LineKey, template: &Arc<Template>) {
        let bytes = template.bytes();
        if bytes > LARGEST {
            return;
        }
        if self.young.len() >= MOST_LINES || self.bytes + bytes > MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, Arc::clone(template));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, ReasonKind};

    fn key(line: u32) -> LineKey {
        KeyMaker::new(3).key(&line.to_le_bytes(), "", None)
    }

    fn template(bytes: usize) -> Arc<Template> {
        let mut template = Template::new("x".repeat(bytes), 0);
        template.put(Reason { kind: ReasonKind::RareWord, word: String::new(), contribution: 1.0, seen: 0 });
        template.finish();
        Arc::new(template)
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded_in_number_and_bytes() {
        for bytes in [10, 30_000] {
            let mut lines = ExplainedLines::new(3);
            let template = template(bytes);
            lines.put(key(0), &template);
            for line in 1..10_000 {
                assert_eq!(lines.get(key(line)), None);
                lines.put(key(line), &template);
                assert!(lines.get(key(line)).is_some() && lines.get(key(0)).is_some());
                assert!(lines.young.len() <= MOST_LINES && lines.old.len() <= MOST_LINES);
                let held = |map: &HashMap<LineKey, Arc<Template>>| map.len() * template.bytes();
                assert!(held(&lines.young) == lines.bytes && lines.bytes <= MOST_BYTES);
                assert!(held(&lines.old) <= MOST_BYTES);
            }
            assert_eq!(lines.get(key(1)), None);
        }
        let mut lines = ExplainedLines::new(3);
        lines.put(key(0), &template(LARGEST));
        assert_eq!(lines.get(key(0)), None);
    }

    #[test]
    fn clearing_and_another_model_forget_everything() {
        let mut lines = ExplainedLines::new(3);
        lines.serve("one");
        lines.put(key(1), &template(1));
        lines.serve("one");
        assert!(lines.get(key(1)).is_some());
        lines.serve("other");
        assert_eq!(lines.get(key(1)), None);
        lines.put(key(1), &template(1));
        lines.clear();
        assert_eq!(lines.get(key(1)), None);
    }
}
