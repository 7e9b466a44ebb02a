//! A batch while it is scored: which record is of which stream, and what its streams have learnt.

use std::sync::{Arc, MutexGuard};

use super::{Cut, Inner, Learned, Open, Stream, delivered};
use crate::control::{Control, View};
use crate::record::Ack;

/// What the streams of one batch have learnt, while the batch is scored.
pub struct Learning<'a>(pub(super) Option<Held<'a>>);

/// The open streams, held until the batch is finished.
pub(super) struct Held<'a> {
    pub inner: &'a Arc<Inner>,
    pub open: MutexGuard<'a, Vec<Open>>,
    /// The batch's.
    pub cuts: &'a [Cut],
    /// Where each cut's stream is among the open ones; `None` where it was given away.
    pub places: Vec<Option<usize>>,
    /// The cut of the last record.
    pub last: usize,
}

/// How a record is to be scored.
pub enum Scoring<'a> {
    /// By the model alone.
    Plain,
    /// With what its stream has learnt, which learns of it.
    Learned(&'a mut Learned),
    /// Not at all: its stream was given away, and whoever has it reads the record again.
    Skip,
}

impl Inner {
    /// What people decided about alerts; `None` while that was not read.
    pub(super) fn decisions(&self) -> Option<Arc<View>> {
        self.control.get().and_then(Control::view)
    }

    /// The same at a tick, counted.
    pub(super) fn decisions_now(&self) -> Option<Arc<View>> {
        let view = self.decisions()?;
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.silences.set(count(view.silences(jiff::Timestamp::now()).count()));
        self.metrics.normals.set(count(view.normals().count()));
        Some(view)
    }
}

impl Learning<'_> {
    /// How a record of the batch is to be scored; `partition` is its topic and partition, where it came from Kafka.
    pub fn of(&mut self, partition: Option<(&str, i32)>) -> Scoring<'_> {
        let Some(Held { open, cuts, places, last, .. }) = &mut self.0 else { return Scoring::Plain };
        if !cuts.get(*last).is_some_and(|cut| cut.stream.is_of(partition)) {
            match cuts.iter().position(|cut| cut.stream.is_of(partition)) {
                Some(at) => *last = at,
                None => return Scoring::Plain,
            }
        }
        match places.get(*last).copied().flatten().and_then(|place| open.get_mut(place)) {
            Some(open) => Scoring::Learned(&mut open.learned),
            None => Scoring::Skip,
        }
    }

    /// The batch is scored: its streams stand at its end. Returns what acknowledges it.
    pub fn finish(self, ack: Ack) -> Ack {
        let Some(Held { inner, mut open, cuts, places, .. }) = self.0 else { return ack };
        let mut scored: Vec<(Stream, u64)> = Vec::new();
        for (cut, place) in cuts.iter().zip(places) {
            let Some(open) = place.and_then(|place| open.get_mut(place)) else { continue };
            open.places.insert(cut.member.to_string(), cut.place.clone());
            if !scored.iter().any(|(stream, _)| *stream == cut.stream) {
                open.scored += 1;
                scored.push((cut.stream.clone(), cut.generation));
            }
        }
        drop(open);
        delivered(inner, scored, ack)
    }
}
