//! What the scoring thread counts for the board: by itself while a batch lasts, added to the board when it ends, so
//! that an ordinary line takes no lock.

use std::hash::BuildHasher as _;
use std::time::Instant;

use engine::alert::{News, Watch};
use engine::detect::{Severity, Warming};
use engine::event::LogEvent;
use engine::model::{Judged, Model, Score, Scratch};
use foldhash::fast::RandomState as Foldhash;
use hashbrown::HashMap;

use super::patterns::Counting;
use super::scores::{Spread, cell_of};
use super::shelf::{Live, MOST_ALERTS};
use super::tail::Tail;
use super::{Board, MOST_WARMING, Total, lock, now};
use crate::live::Loaded;

/// Services that are told apart within a batch.
const MOST_SERVICES: usize = 256;
/// The words of the first line of a batch are looked up, and of one line in so many after it.
const SAMPLE_EVERY: u32 = 1_024;
/// Places for the services that came last.
const MEMO: usize = 256;

/// Counts on their way to the board.
#[derive(Debug)]
pub struct Tally {
    board: Board,
    /// By service; the first is what the services beyond the others come to.
    counts: Vec<(Option<String>, Total)>,
    places: HashMap<String, usize, Foldhash>,
    /// Where the last service of this length and these letters is in `counts`.
    memo: [u16; MEMO],
    /// Places in `counts` that hold something.
    touched: Vec<usize>,
    tail: Tail,
    /// Digest of the model in use.
    model: String,
    spread: Spread,
    patterns: Counting,
    hasher: Foldhash,
    /// Lines until one of which the words are looked up.
    until_sample: u32,
    /// What detectors wait for, while it is gathered.
    warming: Option<Vec<Warming>>,
    /// How far open alerts have come, while it is gathered.
    live: Option<Vec<(String, Live)>>,
}

/// What is to be looked up of a line, which few lines ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pattern: bool,
    words: bool,
}

impl Wanted {
    /// Whether anything is.
    pub const fn is_any(self) -> bool {
        self.pattern || self.words
    }
}

impl Tally {
    /// For this board.
    pub fn new(board: Board) -> Self {
        let mut tally = Self {
            board,
            counts: Vec::new(),
            places: HashMap::default(),
            memo: [0; MEMO],
            touched: Vec::new(),
            tail: Tail::default(),
            model: String::new(),
            spread: Spread::default(),
            patterns: Counting::default(),
            hasher: Foldhash::default(),
            until_sample: 0,
            warming: None,
            live: None,
        };
        tally.forget();
        tally
    }

    /// A batch begins, scored by the model of this digest.
    pub fn begin(&mut self, model: &str) {
        self.tail.begin(&self.board);
        self.until_sample = 0;
        if self.model != model {
            model.clone_into(&mut self.model);
            self.patterns = Counting::default();
            self.board.begin_model();
        }
    }

    /// A line was scored; what else it is asked, for [`Tally::look`].
    pub fn line(&mut self, event: &LogEvent, judged: &Judged, is_odd: bool) -> Wanted {
        let place = self.place(&event.service);
        self.at(place).lines += 1;
        self.spread.cells[cell_of(judged.score.score)] += 1;
        if self.tail.is_watched() {
            self.tail.line(event, judged.score.score, is_odd);
        }
        let mut wanted = Wanted::default();
        match self.until_sample.checked_sub(1) {
            Some(left) => self.until_sample = left,
            None => {
                self.until_sample = SAMPLE_EVERY - 1;
                wanted.words = true;
            }
        }
        if !judged.known_pattern {
            wanted.pattern = self.patterns.line(self.key(event, judged));
        }
        wanted
    }

    /// Looks up what is wanted of a line.
    pub fn look(
        &mut self,
        wanted: Wanted,
        event: &LogEvent,
        judged: &Judged,
        model: &Model,
        scratch: &mut Scratch,
    ) {
        if wanted.words {
            let (unseen, words) = model.unseen_words(event, scratch);
            self.spread.unseen += unseen;
            self.spread.words += words;
        }
        if wanted.pattern {
            let pattern = model.explain(event, scratch).pattern;
            self.patterns.meet(self.key(event, judged), &pattern, &event.service, event.timestamp);
        }
    }

    fn key(&self, event: &LogEvent, judged: &Judged) -> (u64, u64) {
        (judged.pattern, self.hasher.hash_one(event.service.as_str()))
    }

    /// Something was found of this service.
    pub fn found(&mut self, service: &str, severity: Severity) {
        let place = self.place(service);
        self.at(place).found[severity as usize] += 1;
    }

    /// A line of this service is odd, where no detector looks.
    pub fn odd(&mut self, service: &str, score: Score, loaded: &Loaded) {
        let is_warning = loaded.warning_score.is_some_and(|least| score.score > least);
        self.found(service, if is_warning { Severity::Warning } else { Severity::Info });
    }

    /// As [`Tally::found`] for all anomalies in `news`.
    pub fn found_all(&mut self, news: &News) {
        for anomaly in &news.anomalies {
            self.found(&anomaly.service, anomaly.severity);
        }
    }

    /// At a tick, for each stream: how far its open alerts have come, and every few seconds what its detectors still wait
    /// for.
    pub fn watched(&mut self, watch: &Watch) {
        let live = self.live.get_or_insert_default();
        live.extend(watch.alerts().open().take(MOST_ALERTS.saturating_sub(live.len())).map(Live::of));
        if self.warming.is_none() && !self.board.wants_warming() {
            return;
        }
        let warming = self.warming.get_or_insert_default();
        warming.extend(watch.detectors().warming(MOST_WARMING - warming.len()));
    }

    /// A batch or a tick is over.
    pub fn flush(&mut self) {
        self.tail.flush();
        if let Some(warming) = self.warming.take() {
            self.board.set_warming(warming);
        }
        if let Some(live) = self.live.take() {
            self.board.alerts().set_live(live);
        }
        if self.touched.is_empty() {
            return;
        }
        lock(&self.board.0.scores).add(&self.spread, Instant::now());
        self.spread.cells.fill(0);
        (self.spread.unseen, self.spread.words) = (0, 0);
        if self.patterns.has_news() {
            self.patterns.flush(&mut lock(&self.board.0.patterns));
        }
        let now = now();
        let mut lanes = self.board.lanes();
        for place in self.touched.drain(..) {
            let (service, total) = &mut self.counts[place];
            let total = std::mem::take(total);
            match service {
                Some(service) => lanes.add(service, now, now, &total),
                None => lanes.add_others(now, now, &total),
            }
        }
        drop(lanes);
        if self.counts.len() >= MOST_SERVICES {
            self.forget();
        }
    }

    fn at(&mut self, place: usize) -> &mut Total {
        let total = &mut self.counts[place].1;
        if *total == Total::default() {
            self.touched.push(place);
        }
        total
    }

    fn place(&mut self, service: &str) -> usize {
        let slot = match service.as_bytes() {
            [] => 0,
            [first, .., last] => {
                usize::from(first.wrapping_mul(31) ^ last.wrapping_mul(7)) ^ service.len() & 0xff
            }
            [only] => usize::from(*only),
        };
        let remembered = usize::from(self.memo[slot % MEMO]);
        if self.counts[remembered].0.as_deref() == Some(service) {
            return remembered;
        }
        let place = self.places.get(service).copied().unwrap_or_else(|| self.meet(service));
        self.memo[slot % MEMO] = place as u16;
        place
    }

    fn meet(&mut self, service: &str) -> usize {
        if self.counts.len() >= MOST_SERVICES {
            return 0;
        }
        self.counts.push((Some(service.to_owned()), Total::default()));
        self.places.insert(service.to_owned(), self.counts.len() - 1);
        self.counts.len() - 1
    }

    /// Begins anew with services: which of them speak changes.
    fn forget(&mut self) {
        self.counts = vec![(None, Total::default())];
        self.places = HashMap::default();
        self.memo = [0; MEMO];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tally: &mut Tally, service: &str) {
        let event = LogEvent { service: service.to_owned(), ..LogEvent::default() };
        tally.line(&event, &Judged::default(), false);
    }

    #[test]
    fn each_line_and_finding_reaches_the_board_once() {
        let board = Board::default();
        let mut tally = Tally::new(board.clone());
        for round in 0..3 {
            for service in ["billing", "bowling", "", "x", "billing"] {
                line(&mut tally, service);
            }
            tally.found("billing", Severity::Warning);
            if round > 0 {
                tally.flush();
            }
        }
        tally.flush();
        let overview = board.lanes().overview(now(), 60);
        let told: Vec<(&str, u64, u64)> = overview
            .services
            .iter()
            .map(|lane| (lane.service.as_str(), lane.total.lines, lane.total.anomalies()))
            .collect();
        assert_eq!(told, [("billing", 6, 3), ("", 3, 0), ("bowling", 3, 0), ("x", 3, 0)]);
    }

    #[test]
    fn services_without_a_place_are_counted_together_and_get_one_in_the_next_batch() {
        let board = Board::default();
        let mut tally = Tally::new(board.clone());
        (0..MOST_SERVICES + 9).for_each(|number| line(&mut tally, &format!("{number}")));
        tally.flush();
        let total: u64 = board.lanes().overview(now(), 60).over_time.iter().map(|total| total.lines).sum();
        assert_eq!(total, MOST_SERVICES as u64 + 9);
        assert_eq!(tally.counts.len(), 1);
        let board = Board::default();
        let mut tally = Tally::new(board.clone());
        line(&mut tally, "__other__");
        tally.flush();
        let overview = board.lanes().overview(now(), 60);
        assert_eq!((overview.services.len(), overview.others), (1, None), "a name as any other");
    }
}
