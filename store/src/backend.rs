//! What the two databases have in common: statements with values, transactions, many rows at once.

use crate::error::Result;
use crate::value::{Row, Value};

/// A table that many rows are inserted into at once.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in the order of the values.
    pub columns: &'static [Column],
    /// What makes a row the same as another.
    pub unique: &'static str,
}

/// A column of such a table.
#[derive(Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A JSON object.
    Json,
    /// A whole number.
    Int,
    /// A number.
    Real,
    /// A time.
    Time,
}

impl Table {
    /// Its columns, with commas between.
    pub fn column_list(&self) -> String {
        self.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }
}

/// A database.
pub trait Backend: Send {
    /// For messages, without any secret.
    fn describe(&self) -> String;

    /// Connects where there is no connection; `true` when there was none before.
    fn connect(&mut self) -> Result<bool>;

    /// Forward steps of the schema, the first one leading to version 1.
    fn migrations(&self) -> &'static [&'static str];

    /// Whether a table is there.
    fn has_table(&mut self, name: &str) -> Result<bool>;

    /// Runs statements without values.
    fn batch(&mut self, sql: &str) -> Result<()>;

    /// Runs a statement; the number of rows that it changed.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64>;

    /// Runs a query.
    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>>;

    /// Inserts rows, the columns of each in a row, passing over those that are there; how many were new.
    fn insert(&mut self, table: &'static Table, values: &[Value<'_>]) -> Result<u64>;

    /// Begins a transaction that writes.
    fn begin(&mut self) -> Result<()>;

    /// Makes it durable.
    fn commit(&mut self) -> Result<()>;

    /// Undoes it.
    fn rollback(&mut self);

    /// Lets no other transaction write alert records or change the schema until this one ends, so that numbers appear
    /// in their order.
    fn lock(&mut self) -> Result<()>;

    /// See [`crate::Store::lead`].
    fn lead(&mut self, sink: &str) -> Result<bool>;

    /// Bytes in use.
    fn bytes(&mut self) -> Result<u64>;

    /// Whether the program bounds its bytes; a server's administrator does it there.
    fn is_bounded(&self) -> bool;
}
