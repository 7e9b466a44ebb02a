//! Inputs in, batches of events out, each event with the input and line it came from.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::decode::csv::CsvHeader;
use engine::decode::multiline::{JoinSettings, Joined, Joiner};
use engine::decode::{Decoder, RecordContext, RejectReason, Rejected};
use engine::event::{EventTime, LogEvent};
use engine::features::KeyMaker;
use engine::model::train::Item;
use engine::redact::Redactor;

use crate::lines::{Line, Lines};
use crate::outlines::Outlines;
use crate::rows::Rows;
use crate::split::Splitter;
use crate::{CorpusError, Input, Rejects};

/// Events of one batch at most.
const BATCH_EVENTS: usize = 512;
/// Bytes of one batch at about most.
const BATCH_BYTES: u64 = 4 << 20;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Decodes the records.
    pub decoder: Decoder,
    /// Completes times without a year where the input has no time of its own; the time of reading.
    pub now: EventTime,
}

/// Where an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the input.
    pub input: usize,
    /// Line on which its record starts, counted from 1.
    pub line: u64,
}

/// A line of which no event was made, see [`Reader::recall`].
#[derive(Clone, Debug)]
pub struct Again {
    /// Where it came from.
    pub place: Place,
    /// The time that it states.
    pub time: Option<EventTime>,
    /// Its bytes among those of the batch.
    bytes: Range<usize>,
}

/// Events with their places, in the order of the inputs.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events.
    pub events: Vec<LogEvent>,
    /// The place of each event.
    pub places: Vec<Place>,
    /// Whether the texts of each event are known to hold no secret, see [`Reader::look_for_secrets`].
    pub clean: Vec<bool>,
    /// All lines in their order: events, and lines of which none was made. Empty but where [`Reader::recall`] asked
    /// for the latter.
    pub items: Vec<Item>,
    /// Lines of which no event was made.
    pub again: Vec<Again>,
    /// The bytes of those lines, and how they are read.
    bytes: Vec<u8>,
    of: Option<(Arc<CsvHeader>, EventTime)>,
    /// Events of earlier batches: their buffers are used again.
    spare: Vec<LogEvent>,
}

/// Longest text whose buffer is used again, in bytes: every buffer grows to the longest text that it ever held, and
/// should not hold that memory for ever.
const KEPT_BYTES: usize = 384;

impl Batch {
    fn clear(&mut self) {
        let is_small = |event: &LogEvent| event.message.capacity() <= KEPT_BYTES;
        self.spare.extend(self.events.drain(..).filter(is_small));
        self.spare.truncate(BATCH_EVENTS);
        self.places.clear();
        self.clean.clear();
        self.items.clear();
        self.again.clear();
        self.bytes.clear();
    }

    fn len(&self) -> usize {
        self.events.len() + self.again.len()
    }

    /// The event of a line of which none was made, by its number in `again`.
    pub fn event_again(&self, number: usize, decoder: &Decoder) -> LogEvent {
        let read = || {
            let (bytes, (header, time)) =
                (self.bytes.get(self.again.get(number)?.bytes.clone())?, self.of.as_ref()?);
            let context = RecordContext { transport_time: *time, service: None };
            decode_csv_line(bytes, header, decoder, context).ok()
        };
        // A row of the same outline could be decoded, so this one can.
        read().unwrap_or_default()
    }
}

enum Records {
    Lines { lines: Lines, first: Option<Line>, joiner: Joiner<u64>, ready: VecDeque<Ready> },
    Csv { rows: Rows, header: Arc<CsvHeader>, splitter: Box<Splitter> },
}

/// What was read and waits to be decoded.
enum Ready {
    /// A whole record, joined from its lines.
    Record(Joined<u64>),
    /// A line that is longer than allowed.
    TooLong(Line),
}

struct Open {
    name: String,
    time: EventTime,
    records: Records,
}

/// Reads inputs one after another.
pub struct Reader<'a> {
    inputs: &'a [Input],
    options: &'a Options,
    redactor: Option<&'a Redactor>,
    outlines: Option<Outlines<'a>>,
    next: usize,
    open: Option<Open>,
    rejects: Rejects,
    lines_before: u64,
    stored_bytes: Arc<AtomicU64>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of the first input.
    pub fn new(inputs: &'a [Input], options: &'a Options) -> Self {
        let stored_bytes = Arc::default();
        Self {
            inputs,
            options,
            redactor: None,
            outlines: None,
            next: 0,
            open: None,
            rejects: Rejects::default(),
            lines_before: 0,
            stored_bytes,
        }
    }

    /// Looks for secrets while reading, and says in [`Batch::clean`] which events need no further search: one look at
    /// a row is quicker than one at each of its fields. Takes nothing out.
    #[must_use]
    pub fn look_for_secrets(self, redactor: &'a Redactor) -> Self {
        Self { redactor: Some(redactor), ..self }
    }

    /// Makes no event of a row that is known to have the key of a row before: lines are to be taken from
    /// [`Batch::items`], their keys made with `maker`. Rows that may hold a secret, and other shapes than CSV, always
    /// become events.
    #[must_use]
    pub fn recall(self, maker: KeyMaker, redactor: &'a Redactor) -> Self {
        Self { outlines: Some(Outlines::new(maker, redactor)), ..self }
    }

    /// What was not accepted so far.
    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// Bytes read so far, as stored: against the sum of [`Input::stored_bytes`] this is the progress.
    pub fn bytes_read(&self) -> u64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    /// Lines read so far, all inputs together.
    pub fn lines_read(&self) -> u64 {
        self.lines_before
            + self.open.as_ref().map_or(0, |open| match &open.records {
                Records::Lines { lines, .. } => lines.count(),
                Records::Csv { rows, .. } => rows.count(),
            })
    }

    /// Fills `batch` with the next events; false when there are none left.
    ///
    /// # Errors
    /// An input cannot be opened or read; faulty lines are no error, see [`Reader::rejects`].
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, CorpusError> {
        batch.clear();
        let start = self.bytes_read();
        while batch.len() < BATCH_EVENTS && self.bytes_read() - start < BATCH_BYTES {
            if self.open.is_none() {
                let Some(input) = self.inputs.get(self.next) else { break };
                self.open = Some(open(input, self.options, &self.stored_bytes)?);
                self.outlines.iter_mut().for_each(Outlines::clear);
            }
            let Some(open) = &mut self.open else { break };
            let index = self.next;
            let mut looks = Looks { redactor: self.redactor, outlines: self.outlines.as_mut(), input: index };
            let record = next_record(&mut open.records, &self.options.decoder, &mut looks, open.time, batch);
            match record.map_err(|error| self.inputs[index].io(error, count(&open.records)))? {
                Some((line, Ok(()))) => {
                    batch.places.resize(batch.events.len(), Place { input: index, line });
                    batch.clean.resize(batch.events.len(), false);
                    if self.outlines.is_some() {
                        // What is not in there yet was not recalled.
                        let first = batch.items.len() - batch.again.len();
                        batch
                            .items
                            .extend((first..batch.events.len()).map(|number| Item::Raw(number as u32)));
                    }
                }
                Some((line, Err(rejected))) => self.rejects.add(&open.name, line, rejected),
                None => {
                    self.lines_before = self.lines_read();
                    self.open = None;
                    self.next += 1;
                    // The header goes with the input.
                    if !batch.again.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(batch.len() > 0 || self.next < self.inputs.len())
    }
}

fn count(records: &Records) -> u64 {
    match records {
        Records::Lines { lines, .. } => lines.count(),
        Records::Csv { rows, .. } => rows.count(),
    }
}

fn open(input: &Input, options: &Options, stored_bytes: &Arc<AtomicU64>) -> Result<Open, CorpusError> {
    let max_bytes = options.decoder.settings().limits.max_line_bytes;
    let mut lines = Lines::new(input.open(Arc::clone(stored_bytes))?, max_bytes);
    let mut first = lines.next().map_err(|error| input.io(error, 0))?;
    if let Some(line) = &mut first {
        if line.bytes.starts_with(b"\xff\xfe") || line.bytes.starts_with(b"\xfe\xff") {
            return Err(CorpusError::Utf16 { name: input.name() });
        }
        if line.bytes.starts_with(b"\xef\xbb\xbf") {
            line.bytes.drain(..3);
            line.length -= 3;
        }
    }
    let open = |records| Open { name: input.name(), time: input.transport_time(options.now), records };
    let Some(line) = first else { return Ok(open(text(lines, None))) };
    match CsvHeader::parse(&line.bytes, &options.decoder) {
        Ok(header) if input.is_named_csv() || looks_like_header(&header, &options.decoder) => {
            let rows = Rows::new(lines, None, max_bytes);
            Ok(open(Records::Csv { rows, header: Arc::new(header), splitter: Box::new(Splitter::new()) }))
        }
        Err(error) if input.is_named_csv() => Err(CorpusError::Header { name: input.name(), error }),
        _ => Ok(open(text(lines, Some(line)))),
    }
}

/// A first line without the name of a CSV file is a header when it holds nothing but short names, a time's or a
/// level's among them: prose that starts with "message, ..." is not.
fn looks_like_header(header: &CsvHeader, decoder: &Decoder) -> bool {
    let names = &decoder.settings().names;
    let is_name = |column: &String| {
        (1..=64).contains(&column.len())
            && column.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte))
    };
    let holds = |list: &[String], column: &String| list.iter().any(|name| name.eq_ignore_ascii_case(column));
    let columns = header.columns();
    columns.len() >= 2
        && columns.iter().all(is_name)
        && columns.iter().any(|column| holds(&names.time, column) || holds(&names.level, column))
}

/// The header of a CSV file whose first line this is; none where the file holds something else.
pub fn csv_header(input: &Input, first_line: &[u8], decoder: &Decoder) -> Option<CsvHeader> {
    let header = CsvHeader::parse(first_line, decoder).ok()?;
    (input.is_named_csv() || looks_like_header(&header, decoder)).then_some(header)
}

/// Decodes one line of a CSV file as a whole row.
///
/// # Errors
/// The row is not accepted; a row that spans lines is none.
pub fn decode_csv_line(
    line: &[u8],
    header: &CsvHeader,
    decoder: &Decoder,
    context: RecordContext<'_>,
) -> Result<LogEvent, Rejected> {
    let row = crate::rows::single(line)?;
    decoder.decode_row(header, Splitter::new().split(row)?, context)
}

type Decoded = Option<(u64, Result<(), Rejected>)>;

/// What is looked for in the rows of an input.
struct Looks<'l, 'a> {
    redactor: Option<&'a Redactor>,
    outlines: Option<&'l mut Outlines<'a>>,
    input: usize,
}

fn next_record(
    records: &mut Records,
    decoder: &Decoder,
    looks: &mut Looks<'_, '_>,
    time: EventTime,
    batch: &mut Batch,
) -> std::io::Result<Decoded> {
    let context = RecordContext { transport_time: time, service: None };
    match records {
        Records::Lines { lines, first, joiner, ready } => {
            while ready.is_empty() && read_line(lines, first, joiner, ready)? {}
            Ok(ready.pop_front().map(|next| match next {
                Ready::Record(joined) => {
                    (joined.first, decoder.decode(&joined.record, context, &mut batch.events))
                }
                Ready::TooLong(line) => {
                    let limit = decoder.settings().limits.max_line_bytes;
                    let detail = format!("the line has {} bytes, at most {limit} are allowed", line.length);
                    (line.number, Err(Rejected { reason: RejectReason::TooLong, detail }))
                }
            }))
        }
        Records::Csv { rows, header, splitter } => {
            let taken = rows.offer(|row| offered(row, (header, splitter), decoder, looks, time, batch))?;
            if let Some(number) = taken {
                if let (Some(Item::Again(..)), Some(again)) = (batch.items.last(), batch.again.last_mut()) {
                    again.place.line = number;
                }
                return Ok(Some((number, Ok(()))));
            }
            let Some(row) = rows.next()? else { return Ok(None) };
            let decoded = row.bytes.and_then(|bytes| {
                if bytes.iter().all(u8::is_ascii_whitespace) {
                    return Err(Rejected {
                        reason: RejectReason::Empty,
                        detail: "the line is blank".to_owned(),
                    });
                }
                batch.events.push(decoder.decode_row(header, splitter.split(&bytes)?, context)?);
                Ok(())
            });
            Ok(Some((row.number, decoded)))
        }
    }
}

/// Takes a row that lies whole in the buffer, where there is a short way.
fn offered(
    row: &[u8],
    (header, splitter): (&Arc<CsvHeader>, &mut Splitter),
    decoder: &Decoder,
    Looks { redactor, outlines, input }: &mut Looks<'_, '_>,
    transport_time: EventTime,
    batch: &mut Batch,
) -> bool {
    let mut unknown = None;
    if let Some(outlines) = outlines {
        match outlines.find(row) {
            Ok(found) => {
                let time = decoder.field_time(found.time, transport_time, &mut outlines.times);
                if time.is_some() || found.time.is_empty() {
                    let bytes = batch.bytes.len()..batch.bytes.len() + row.len();
                    batch.bytes.extend_from_slice(row);
                    if batch.again.is_empty() {
                        batch.of = Some((Arc::clone(header), transport_time));
                    }
                    batch.items.push(Item::Again(batch.again.len() as u32, found.line));
                    batch.again.push(Again { place: Place { input: *input, line: 0 }, time, bytes });
                    return true;
                }
            }
            Err(outline) => unknown = outline,
        }
    }
    let Some((bytes, fields)) = splitter.places(row) else { return false };
    let context = RecordContext { transport_time, service: None };
    let mut event = batch.spare.pop().unwrap_or_default();
    if !decoder.fill_row(header, bytes, fields, context, &mut event) {
        batch.spare.push(event);
        return false;
    }
    // Every text of the event is a piece of these bytes.
    batch.clean.resize(batch.events.len(), false);
    batch.clean.push(redactor.is_some_and(|redactor| redactor.is_clean(bytes)));
    if let (Some(outlines), Some(outline)) = (outlines, unknown)
        && let Some(key) = outlines.remember(outline, row, header, &event)
    {
        batch.items.push(Item::Clean(batch.events.len() as u32, key));
    }
    batch.events.push(event);
    true
}

fn text(lines: Lines, first: Option<Line>) -> Records {
    Records::Lines { lines, first, joiner: Joiner::new(JoinSettings::default()), ready: VecDeque::new() }
}

/// Reads one line; records that it completes go to `ready`. False at the end, when all is in `ready`.
fn read_line(
    lines: &mut Lines,
    first: &mut Option<Line>,
    joiner: &mut Joiner<u64>,
    ready: &mut VecDeque<Ready>,
) -> std::io::Result<bool> {
    let line = match first.take() {
        Some(line) => Some(line),
        None => lines.next()?,
    };
    let (mut whole, more) = (Vec::new(), line.is_some());
    // A recorded log knows no silence, so the clock of the joiner stands still.
    let now = EventTime::default();
    match line {
        Some(line) if line.is_cut() => {
            joiner.flush(&mut whole);
            ready.extend(whole.drain(..).map(Ready::Record));
            ready.push_back(Ready::TooLong(line));
        }
        Some(line) => joiner.push("", &line.bytes, line.number, now, &mut whole),
        None => joiner.flush(&mut whole),
    }
    ready.extend(whole.into_iter().map(Ready::Record));
    Ok(more)
}
