//! What training is given: events, and lines of which no event was made since all that counts of them is known.

use std::borrow::Cow;

use crate::event::LogEvent;
use crate::features::LineKey;

/// A line of a batch, see [`super::FirstPass::observe_lines`]. Keys are made with [`super::key_maker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// The event of this number, in which secrets were not looked for.
    Raw(u32),
    /// The event of this number, which has this key and holds no secret.
    Clean(u32, LineKey),
    /// Number so and so of the lines that came without an event. A line of this key was given as [`Item::Clean`].
    Again(u32, LineKey),
}

impl Item {
    /// Its number among those with an event, or those without one.
    pub const fn number(self) -> usize {
        match self {
            Self::Raw(number) | Self::Clean(number, _) | Self::Again(number, _) => number as usize,
        }
    }
}

/// A line's event, or where it is to be had.
pub(super) enum Given<'e> {
    Here(&'e LogEvent),
    Away(&'e (dyn Fn(usize) -> LogEvent + Sync), usize),
}

impl<'e> Given<'e> {
    pub fn event(self) -> Cow<'e, LogEvent> {
        match self {
            Self::Here(event) => Cow::Borrowed(event),
            Self::Away(read, number) => Cow::Owned(read(number)),
        }
    }
}
