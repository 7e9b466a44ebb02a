//! Values on their way into a database and out of it.

use std::borrow::Cow;

use engine::event::EventTime;

use crate::error::{Error, Result};
use crate::time;

/// What is bound to a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(Cow<'a, str>),
    /// A JSON object.
    Json(Cow<'a, str>),
    /// A time.
    Time(EventTime),
}

impl<'a> Value<'a> {
    /// A text, or nothing.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }

    /// A time, or nothing.
    pub fn time(time: Option<EventTime>) -> Self {
        time.map_or(Self::Null, Self::Time)
    }
}

/// Characters that PostgreSQL takes in no text become ones that show them.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{2400}")) } else { Cow::Borrowed(text) }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(without_nul(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<EventTime> for Value<'_> {
    fn from(time: EventTime) -> Self {
        Self::Time(time)
    }
}

/// A row that a query gave back.
#[derive(Clone, Debug)]
pub struct Row {
    pub cells: Vec<Value<'static>>,
}

impl Row {
    fn wrong(&self, index: usize, wanted: &str) -> Error {
        let found = self.cells.get(index);
        Error::Damaged {
            store: "the store".to_owned(),
            why: format!("column {index} of a row is not {wanted}: {found:?}"),
        }
    }

    /// A whole number.
    pub fn int(&self, index: usize) -> Result<i64> {
        match self.cells.get(index) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(self.wrong(index, "a whole number")),
        }
    }

    /// A whole number, or nothing.
    pub fn maybe_int(&self, index: usize) -> Result<Option<i64>> {
        match self.cells.get(index) {
            Some(Value::Null) => Ok(None),
            _ => self.int(index).map(Some),
        }
    }

    /// A number.
    pub fn real(&self, index: usize) -> Result<f64> {
        match self.cells.get(index) {
            Some(Value::Real(number)) => Ok(*number),
            #[expect(clippy::cast_precision_loss, reason = "a score that SQLite gives back as 0 or 1")]
            Some(Value::Int(number)) => Ok(*number as f64),
            _ => Err(self.wrong(index, "a number")),
        }
    }

    /// A text.
    pub fn text(&self, index: usize) -> Result<String> {
        self.maybe_text(index)?.ok_or_else(|| self.wrong(index, "a text"))
    }

    /// A text, or nothing.
    pub fn maybe_text(&self, index: usize) -> Result<Option<String>> {
        match self.cells.get(index) {
            Some(Value::Text(text) | Value::Json(text)) => Ok(Some(text.clone().into_owned())),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(index, "a text")),
        }
    }

    /// A time.
    pub fn time(&self, index: usize) -> Result<EventTime> {
        self.maybe_time(index)?.ok_or_else(|| self.wrong(index, "a time"))
    }

    /// A time, or nothing.
    pub fn maybe_time(&self, index: usize) -> Result<Option<EventTime>> {
        match self.cells.get(index) {
            Some(Value::Time(time)) => Ok(Some(*time)),
            Some(Value::Text(text)) => time::parse(text).map(Some).ok_or_else(|| self.wrong(index, "a time")),
            Some(Value::Null) => Ok(None),
            _ => Err(self.wrong(index, "a time")),
        }
    }
}
