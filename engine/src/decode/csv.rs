//! CSV rows by the names of their header. Quoting and line ends are the reader's matter; this room takes the
//! fields of one row.

use super::fields::{self, Field};
use super::reject::{RejectReason, Rejected};
use super::shape::Scope;
use super::{Decoder, RecordContext};
use crate::event::LogEvent;

/// The column names of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvHeader {
    columns: Vec<String>,
}

/// A first line that is no usable header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not UTF-8.
    #[error("the CSV header is not valid UTF-8: byte {position} is faulty")]
    InvalidUtf8 {
        /// Byte offset in the header.
        position: usize,
    },
    /// Nothing in it.
    #[error("the CSV header is empty; a header such as `timestamp,service,level,message` is needed")]
    Empty,
    /// More columns than an event may have attributes.
    #[error("the CSV header has {columns} columns, at most {limit} are allowed")]
    TooManyColumns {
        /// How many there are.
        columns: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The same name twice.
    #[error("the CSV header names the column `{name}` twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// No column holds a text.
    #[error("the CSV header `{header}` has no column for the message; one of these names is needed: {known}")]
    NoMessage {
        /// The header, cut to 200 characters.
        header: String,
        /// The names, separated by commas.
        known: String,
    },
}

impl CsvHeader {
    /// Reads a header line: its bytes up to the line end, a byte order mark and quotes allowed.
    ///
    /// # Errors
    /// It cannot be read or names no column that could be the message.
    pub fn parse(header: &[u8], decoder: &Decoder) -> Result<Self, HeaderError> {
        let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(header);
        std::str::from_utf8(header)
            .map_err(|error| HeaderError::InvalidUtf8 { position: error.valid_up_to() })?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(header);
        let mut row = csv::StringRecord::new();
        let columns: Vec<String> = match reader.read_record(&mut row) {
            Ok(true) => row.iter().map(|name| name.trim().to_owned()).collect(),
            _ => return Err(HeaderError::Empty),
        };
        Self::from_names(columns, decoder)
    }

    /// A header of names that were split already.
    ///
    /// # Errors
    /// As [`CsvHeader::parse`].
    pub fn from_names(columns: Vec<String>, decoder: &Decoder) -> Result<Self, HeaderError> {
        if columns.iter().all(String::is_empty) {
            return Err(HeaderError::Empty);
        }
        let limit = decoder.settings().limits.max_attributes.saturating_add(4);
        if columns.len() > limit {
            return Err(HeaderError::TooManyColumns { columns: columns.len(), limit });
        }
        let mut sorted: Vec<&String> = columns.iter().filter(|name| !name.is_empty()).collect();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(HeaderError::Twice { name: pair[0].clone() });
        }
        let names = &decoder.names;
        if !columns.iter().any(|column| names.message.rank(column).is_some()) {
            let header: String = columns.join(",").chars().take(200).collect();
            let known: Vec<_> = names.message.iter().collect();
            return Err(HeaderError::NoMessage { header, known: known.join(", ") });
        }
        Ok(Self { columns })
    }

    /// The column names in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

impl Decoder {
    /// Decodes the fields of one CSV row; columns that are not time, level, service or message become attributes,
    /// empty ones are left out.
    ///
    /// # Errors
    /// Another number of columns than the header, a column that is not UTF-8, or a rule that every record keeps.
    pub fn decode_row<'a>(
        &self,
        header: &'a CsvHeader,
        row: impl ExactSizeIterator<Item = &'a [u8]>,
        context: RecordContext<'_>,
    ) -> Result<LogEvent, Rejected> {
        if row.len() != header.columns.len() {
            return Err(Rejected::new(
                RejectReason::WrongColumnCount,
                format!("the row has {} columns, its header has {}", row.len(), header.columns.len()),
            ));
        }
        let limit = self.settings.limits.max_line_bytes;
        let mut total = 0usize;
        let mut fields = Vec::with_capacity(header.columns.len());
        for (index, (name, value)) in header.columns.iter().zip(row).enumerate() {
            total += value.len() + 1;
            if total > limit.saturating_add(1) {
                return Err(Rejected::new(
                    RejectReason::TooLong,
                    format!("the row has more than {limit} bytes, which is the limit"),
                ));
            }
            let value = std::str::from_utf8(value).map_err(|error| {
                Rejected::new(
                    RejectReason::InvalidUtf8,
                    format!("byte {} of the column `{name}` is not valid UTF-8", error.valid_up_to()),
                )
            })?;
            if value.is_empty() {
                continue;
            }
            let name =
                if name.is_empty() { format!("column_{}", index + 1).into() } else { name.as_str().into() };
            fields.push(Field { name, value: fields::Value::Text(value.into()) });
        }
        if fields.is_empty() {
            return Err(Rejected::new(RejectReason::Empty, "every column of the row is empty"));
        }
        if !fields.iter().any(|field| self.names.message.rank(&field.name).is_some()) {
            return Err(Rejected::new(RejectReason::NoMessage, "the message column of the row is empty"));
        }
        fields::event(fields, fields::Given::default(), &Scope::new(self, context))
    }
}
