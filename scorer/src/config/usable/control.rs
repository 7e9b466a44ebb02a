//! Decisions about alerts that stand in the config file.

use super::Reader;
use crate::config::{Mistake, Place};
use crate::control::ControlSettings;

impl Reader<'_> {
    pub(super) fn control(&mut self) -> ControlSettings {
        let silences = self.written.silences.iter().map(|written| ("silence", written.read()));
        let normals = self.written.normals.iter().map(|written| ("normal", written.read()));
        let place = || self.written.file.clone().map_or(Place::Default, Place::File);
        let mut fixed = Vec::new();
        for (name, read) in silences.chain(normals) {
            match read {
                Ok(decision) => fixed.push(decision),
                Err(why) => {
                    let (name, value) = (name.to_owned(), format!("[[{name}]]"));
                    self.mistakes.push(Mistake { name, value, place: place(), why });
                }
            }
        }
        ControlSettings { topic: self.topic("CONTROL_TOPIC"), fixed }
    }
}
