//! CSV rows by the names of their header. Quoting and line ends are the reader's matter; this room takes the
//! fields of one row.

use std::ops::Range;

use super::fields::{self, Field};
use super::reject::{RejectReason, Rejected};
use super::settings::{NameTable, Names};
use super::shape::Scope;
use super::{Decoder, RecordContext, TimeMemo, level, time};
use crate::event::{EventTime, Level, LogEvent, TimeSource};

/// The column names of a CSV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvHeader {
    columns: Vec<String>,
    plan: Option<Plan>,
}

/// Which column holds what, where every row can be asked for it without looking at the names again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    time: Option<usize>,
    level: usize,
    service: Option<usize>,
    message: usize,
    /// Whether a row without a level there has none.
    is_only_level: bool,
}

impl Plan {
    /// None where what a part is may differ from row to row: two columns for it, wrapped records, web accesses.
    fn new(columns: &[String], names: &NameTable) -> Option<Self> {
        let only = |list: &Names| {
            let mut hits = columns.iter().enumerate().filter(|(_, name)| list.rank(name).is_some());
            let first = hits.next().map(|(index, _)| index);
            hits.next().is_none().then_some(first)
        };
        let plan = Self {
            time: only(&names.time)?,
            level: only(&names.level)??,
            service: only(&names.service)?,
            message: only(&names.message)??,
            is_only_level: !columns.iter().any(|name| {
                [&names.severity_number, &names.status].into_iter().any(|list| list.rank(name).is_some())
            }),
        };
        let mut parts: Vec<usize> =
            [plan.time, Some(plan.level), plan.service, Some(plan.message)].into_iter().flatten().collect();
        let named = parts.len();
        parts.sort_unstable();
        parts.dedup();
        let is_in =
            |name: &str, wrapper: &str| name.strip_prefix(wrapper).is_some_and(|rest| rest.starts_with('.'));
        let wraps = |name: &String| {
            name.is_empty()
                || name == "schema"
                || is_in(name, "schema")
                || names.unwrap.iter().any(|wrapper| is_in(name, wrapper))
        };
        let has = |name: &str| columns.iter().any(|column| column == name);
        let is_pino = plan.service.is_none() && has("pid") && has("hostname") && has("name");
        let is_plain = !is_pino && !columns.iter().any(wraps);
        (parts.len() == named && is_plain).then_some(plan)
    }
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
        let plan = Plan::new(&columns, names);
        Ok(Self { columns, plan })
    }

    /// Where the parts of an event are, where that is the same in every row that [`Decoder::fill_row`] takes.
    pub fn parts(&self) -> Option<Parts> {
        self.plan.map(|Plan { time, level, service, .. }| Parts { time, level, service })
    }

    /// The column names in order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

/// The columns that hold the parts of every row's event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Number of the time's column, where there is one.
    pub time: Option<usize>,
    /// Of the level's.
    pub level: usize,
    /// Of the service's, where there is one.
    pub service: Option<usize>,
}

impl Decoder {
    /// The time that a field states, as [`Decoder::fill_row`] reads it. `memo` is of fields that were read with this
    /// decoder alone.
    pub fn field_time(
        &self,
        field: &[u8],
        transport_time: EventTime,
        memo: &mut TimeMemo,
    ) -> Option<EventTime> {
        time::from_field_after(field, transport_time, self.settings.utc_offset_s, memo)
    }

    fn time_of_field(&self, field: &str, transport_time: EventTime) -> Option<EventTime> {
        time::from_field(field)?.resolve(transport_time, self.settings.utc_offset_s)
    }

    /// Fills `event` with what [`Decoder::decode_row`] would make of the row, reusing its buffers. False, the event
    /// then being of no use, where the row needs the longer way or is faulty; rows of one file rarely do. `fields`
    /// are places in `row`, in the order of the header, which must have been read with this decoder's settings.
    pub fn fill_row(
        &self,
        header: &CsvHeader,
        row: &[u8],
        fields: &[Range<usize>],
        context: RecordContext<'_>,
        event: &mut LogEvent,
    ) -> bool {
        self.try_fill_row(header, row, fields, context, event).is_some()
    }

    fn try_fill_row(
        &self,
        header: &CsvHeader,
        row: &[u8],
        fields: &[Range<usize>],
        context: RecordContext<'_>,
        event: &mut LogEvent,
    ) -> Option<()> {
        let plan = header.plan?;
        if fields.len() != header.columns.len() || row.len() > self.settings.limits.max_line_bytes {
            return None;
        }
        let row = simdutf8::basic::from_utf8(row).ok()?;
        let field = |index: usize| row.get(fields.get(index)?.clone());
        let message = field(plan.message)?.trim_end_matches(['\n', '\r']);
        let start = message.trim_start();
        let service = match plan.service {
            Some(index) => field(index)?,
            None => context.service.unwrap_or_default(),
        };
        let plain = !start.is_empty()
            && !start.starts_with('{')
            && (plan.service.is_none() || (!service.trim().is_empty() && !service.starts_with('/')));
        if !plain {
            return None;
        }
        event.level = match field(plan.level)? {
            "INFO" => Some(Level::Info),
            "" if plan.is_only_level => None,
            word if word.as_bytes().first()?.is_ascii_alphabetic() => Some(level::from_word(word)?),
            _ => return None,
        };
        (event.timestamp, event.time_source) = match plan.time {
            Some(index) => (self.time_of_field(field(index)?, context.transport_time)?, TimeSource::Record),
            None => (context.transport_time, TimeSource::Transport),
        };
        refill(&mut event.message, message);
        refill(&mut event.service, service);
        let mut attributes = 0;
        for (index, name) in header.columns.iter().enumerate() {
            let is_part = Some(index) == plan.time || Some(index) == plan.service;
            if is_part || index == plan.level || index == plan.message {
                continue;
            }
            let value = field(index)?;
            if !value.is_empty() {
                put_attribute(&mut event.attributes, attributes, name, value);
                attributes += 1;
            }
        }
        event.attributes.truncate(attributes);
        (attributes <= self.settings.limits.max_attributes).then_some(())
    }

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

fn refill(text: &mut String, with: &str) {
    text.clear();
    text.push_str(with);
}

fn put_attribute(attributes: &mut Vec<(String, String)>, at: usize, name: &str, value: &str) {
    match attributes.get_mut(at) {
        Some((own_name, own_value)) => {
            refill(own_name, name);
            refill(own_value, value);
        }
        None => attributes.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::DecodeSettings;

    /// Both ways over one row of `header`, into an event that held something else.
    fn both(header: &str, row: &[String]) -> (bool, LogEvent, Result<LogEvent, Rejected>) {
        let decoder = Decoder::new(DecodeSettings::default());
        let header = CsvHeader::parse(header.as_bytes(), &decoder).unwrap();
        let context = RecordContext {
            transport_time: EventTime::from_millis(1_767_571_200_000),
            service: Some("file"),
        };
        let (bytes, mut fields) = (row.concat().into_bytes(), Vec::new());
        for field in row {
            let start = fields.last().map_or(0, |last: &Range<usize>| last.end);
            fields.push(start..start + field.len());
        }
        let mut event = LogEvent {
            message: "before".into(),
            service: "before".into(),
            attributes: vec![("before".into(), "before".into()); 3],
            time_source: TimeSource::Transport,
            ..LogEvent::default()
        };
        let filled = decoder.fill_row(&header, &bytes, &fields, context, &mut event);
        let decoded = decoder.decode_row(&header, row.iter().map(String::as_bytes), context);
        (filled, event, decoded)
    }

    proptest! {
        #[test]
        fn a_filled_event_is_the_decoded_one(
            header in proptest::sample::select(vec![
                "timestamp,service,level,message,host,status", "host,msg,severity,method,url,status",
                "time,app,lvl,body,pid,hostname", "message,level,date,name,pid,hostname",
                "payload,level,a,schema,b,c", "level,payload.message,x,y,z,message", "@timestamp,loglevel,log,container_name,a,b",
            ]),
            row in proptest::collection::vec(
                "(2026-01-0[1-9]T0[0-9]:00:00Z|INFO|error|3|gold|500|GET|/a|[{]\"a\":1[}]| |[a-z]{0,4} ?[é0-9]{0,3}\n?|)", 6,
            ),
        ) {
            let (filled, event, decoded) = both(header, &row);
            if filled {
                prop_assert_eq!(Ok(event), decoded);
            }
        }
    }

    #[test]
    fn an_ordinary_row_takes_the_short_way() {
        for (word, level) in [("Warn", Some(Level::Warn)), ("", None)] {
            let row = ["2026-01-05T00:00:00.5Z", "api", word, "disk full\r\n", "", "up"].map(str::to_owned);
            let (filled, event, decoded) = both("timestamp,service,level,message,a,b", &row);
            assert!(filled);
            assert_eq!(event.attributes, [("b".to_owned(), "up".to_owned())]);
            assert_eq!((event.level, Ok(event)), (level, decoded));
        }
    }

    #[test]
    fn a_level_that_another_column_may_tell_takes_the_longer_way() {
        let row = ["", "disk full", "17", "500"].map(str::to_owned);
        for header in ["level,message,severity_number,a", "level,message,a,status"] {
            assert!(!both(header, &row).0, "{header}");
        }
    }
}
