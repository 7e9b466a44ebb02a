//! The whole flow of one stream: simulated or written lines in, scores, findings and records of alerts out.

use std::sync::Arc;

use engine::alert::{AlertSettings, Audience, News, Watch, WatchSettings};
use engine::artifact;
use engine::decode::{Decoder, RecordContext};
use engine::detect::{Anomaly, Origin, Seen, Sessions, Source, Text, Thresholds, Tick};
use engine::event::{EventTime, Level, LogEvent};
use engine::id::FindingId;
use engine::model::{Contamination, Judged, Model, Scratch, Threshold};
use engine::redact::Redactor;
use serde::Deserialize;
use simulator::{Params, SimLine, Simulator};

use crate::MODEL;
use crate::told::{About, AlertTold, Answer, Found, Line, Why, Window};

/// The receiver that the page shows.
const RECEIVER: &str = "webhook";
/// Alerts a day that rest on odd lines alone: as `ALERT_BUDGET_PER_DAY` has it by default.
const BUDGET: f64 = 10.0;
/// Most lines that one question brings; what is beyond waits for the next.
const MOST_LINES: usize = 2_000;
const SECOND: i64 = 1_000_000;
/// Windows of the error burst, in seconds.
const WINDOW: i64 = 5;

/// A question. Times are milliseconds since the epoch, as a browser has them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ask {
    /// Begins anew.
    Start {
        /// The time now.
        now: i64,
        /// Seed of the simulated stream.
        seed: u64,
    },
    /// The lines that the simulator writes until now, and the ticks of the clock.
    Advance {
        /// The time now.
        now: i64,
    },
    /// Lines as somebody writes them into the file.
    Write {
        /// The time now.
        now: i64,
        /// A record each.
        lines: Vec<String>,
    },
    /// Six ERROR lines of `billing_api` within one window of 5 s.
    Burst {
        /// The time now.
        now: i64,
    },
    /// Changes the simulated stream from its next request on.
    Simulate {
        /// Mean lines per second.
        rate: f64,
        /// Share of ordinary errors, 0–1.
        error_rate: f64,
        /// Share of anomalies, 0–1.
        anomaly_ratio: f64,
    },
}

/// A stream with everything that follows from it.
pub struct Flow {
    model: Arc<Model>,
    threshold: Threshold,
    decoder: Decoder,
    redactor: Redactor,
    watch: Watch,
    scratch: Scratch,
    news: News,
    simulator: Simulator,
    next: Option<SimLine>,
    offset: u64,
    /// Last second that the clock told.
    ticked: i64,
}

/// A record of the topic.
struct Place<'a> {
    offset: u64,
    time: EventTime,
    record: &'a str,
}

impl Origin for Place<'_> {
    fn finding_id(&self, detector: &str) -> FindingId {
        FindingId::of_record(detector, self.source().coordinates(), self.time, 0, self.record.as_bytes())
    }

    fn source(&self) -> Source {
        Source::Kafka {
            cluster: Text::from("page"),
            topic: Text::from("application-logs"),
            partition: 0,
            offset: i64::try_from(self.offset).unwrap_or(i64::MAX),
        }
    }
}

impl Flow {
    /// Answers a question, both in JSON; without a [`Ask::Start`] before it, it is an error.
    pub fn ask(flow: &mut Option<Self>, question: &[u8]) -> Vec<u8> {
        let answer = match serde_json::from_slice(question) {
            Ok(Ask::Start { now, seed }) => Self::start(now, seed).map(|(started, answer)| {
                *flow = Some(started);
                answer
            }),
            Ok(ask) => match flow {
                Some(flow) => flow.answer(ask),
                None => Err("ask {\"ask\": \"start\", …} first".to_owned()),
            },
            Err(error) => Err(format!("the question cannot be read: {error}")),
        };
        let answer = answer.unwrap_or_else(|error| Answer { error: Some(error), ..Answer::default() });
        serde_json::to_vec(&answer).unwrap_or_default()
    }

    /// Begins a stream at `now`, in milliseconds since the epoch.
    ///
    /// # Errors
    /// The model inside cannot be read.
    pub fn start(now: i64, seed: u64) -> Result<(Self, Answer), String> {
        let model = artifact::from_bytes(MODEL).map_err(|error| error.to_string())?;
        let share = model.provenance().contamination.parse();
        let share = share.map_err(|_| "the model inside names no share".to_owned())?;
        let threshold = model.threshold(Contamination::Share(share));
        let warning_score = model.threshold_for_budget(BUDGET);
        let now = now.saturating_mul(1_000);
        let params = Params { seed, start: EventTime::from_micros(now), rate: 8.0, ..Params::default() };
        let alerts = AlertSettings { audiences: vec![Audience::new(RECEIVER)], ..AlertSettings::default() };
        let mut watch = Watch::new(&WatchSettings { alerts, ..WatchSettings::default() });
        let warning = warning_score.map_or(1.0, |score| score.max(threshold.score));
        watch.set_thresholds(Thresholds { odd: threshold.score, warning });
        let model = Arc::new(model);
        watch.set_sessions(Sessions::of(&model, None));
        let about = About {
            model: model.digest().to_owned(),
            rows: model.provenance().rows,
            threshold: threshold.score,
            warning_score,
        };
        let flow = Self {
            model,
            threshold,
            decoder: Decoder::default(),
            redactor: Redactor::new(&[]).map_err(|error| error.to_string())?,
            watch,
            scratch: Scratch::default(),
            news: News::default(),
            simulator: Simulator::new(params).map_err(|errors| in_words(&errors))?,
            next: None,
            offset: 0,
            ticked: now.div_euclid(SECOND),
        };
        Ok((flow, Answer { about: Some(about), ..Answer::default() }))
    }

    fn answer(&mut self, ask: Ask) -> Result<Answer, String> {
        let mut answer = Answer::default();
        match ask {
            Ask::Start { .. } => {}
            Ask::Advance { now } => self.advance(now.saturating_mul(1_000), &mut answer),
            Ask::Write { now, lines } => {
                for line in lines {
                    self.line(line, now.saturating_mul(1_000), &mut answer);
                }
            }
            Ask::Burst { now } => {
                let now = now.saturating_mul(1_000);
                for line in burst(now) {
                    self.line(line, now, &mut answer);
                }
            }
            Ask::Simulate { rate, error_rate, anomaly_ratio } => {
                let params = Params { rate, error_rate, anomaly_ratio, ..self.simulator.params() };
                self.simulator.set_params(params).map_err(|errors| in_words(&errors))?;
            }
        }
        let time = self.watch.detectors().event_time();
        answer.windows =
            self.watch.detectors().fillings().map(|filling| Window::of(&filling, time)).collect();
        Ok(answer)
    }

    /// Lines and ticks until now, in order of time.
    fn advance(&mut self, now: i64, answer: &mut Answer) {
        while self.ticked < now.div_euclid(SECOND) {
            let tick = self.ticked + 1;
            if !self.simulate(tick * SECOND, answer) {
                return;
            }
            self.ticked = tick;
            let tick = Tick { now: EventTime::from_micros(tick * SECOND), caught_up: true };
            self.watch.tick(tick, &mut self.news);
            self.tell(answer);
        }
        self.simulate(now, answer);
    }

    /// Lines before a time; `false` where there are more than one answer takes.
    fn simulate(&mut self, until: i64, answer: &mut Answer) -> bool {
        loop {
            let line = self.next.take().unwrap_or_else(|| self.simulator.next_line());
            if line.timestamp.as_micros() > until {
                self.next = Some(line);
                return true;
            }
            if answer.lines.len() >= MOST_LINES {
                self.next = Some(line);
                return false;
            }
            self.line(line.json(), line.timestamp.as_micros(), answer);
        }
    }

    /// A record of the topic: decoded, scored, watched.
    fn line(&mut self, record: String, now: i64, answer: &mut Answer) {
        let offset = self.offset;
        self.offset += 1;
        let time = EventTime::from_micros(now);
        let context = RecordContext { transport_time: time, service: None };
        let mut events = Vec::new();
        if let Err(rejected) = self.decoder.decode(record.as_bytes(), context, &mut events) {
            answer.lines.push(Line {
                offset,
                record,
                rejected: Some(rejected.to_string()),
                ..Line::default()
            });
            return;
        }
        for event in &mut events {
            self.redactor.redact(event);
            let place = Place { offset, time, record: &record };
            let line = self.judge(event, &place);
            answer.lines.push(line);
            self.tell(answer);
        }
    }

    fn judge(&mut self, event: &LogEvent, place: &Place<'_>) -> Line {
        let Judged { score, pattern, known_pattern } = self.model.judge(event, &mut self.scratch);
        let odd = score.score > self.threshold.score;
        let explanation = odd.then(|| self.model.explain(event, &mut self.scratch));
        let (value, percentile) = (score.score, score.percentile);
        let seen = Seen { event, score: value, percentile, pattern, known_pattern, origin: place };
        let mut explain = |anomaly: &mut Anomaly| {
            if anomaly.detector == "odd_line"
                && let Some(explanation) = &explanation
            {
                let words: Vec<&str> =
                    explanation.reasons.iter().take(WORDS).map(|reason| reason.word.as_str()).collect();
                anomaly.reasons.push(format!("odd in it: {}", words.join(", ")));
            }
        };
        self.watch.line(&seen, &mut explain, &mut self.news);
        Line {
            offset: place.offset,
            record: place.record.to_owned(),
            rejected: None,
            timestamp: event.timestamp.to_string(),
            service: event.service.clone(),
            level: event.level.map(Level::as_str),
            message: event.message.clone(),
            score: value,
            percentile,
            forest: score.forest,
            surprisal: score.surprisal,
            odd,
            reasons: explanation
                .iter()
                .flat_map(|explanation| &explanation.reasons)
                .take(WORDS)
                .map(Why::from)
                .collect(),
            nearest_pattern: explanation.and_then(|explanation| explanation.nearest_pattern),
        }
    }

    fn tell(&mut self, answer: &mut Answer) {
        answer.findings.extend(self.news.anomalies.drain(..).map(|anomaly| Found::from(&anomaly)));
        answer.alerts.extend(self.news.changes.drain(..).map(|change| AlertTold::from(&change)));
    }
}

/// Most words of a line that are told as its reasons.
const WORDS: usize = 5;

/// Six ERROR lines of one service, at 0, 0, 0, 1, 2 and 2 s of the window in which `now` is.
fn burst(now: i64) -> impl Iterator<Item = String> {
    let start = now.div_euclid(WINDOW * SECOND) * WINDOW * SECOND;
    [0, 0, 0, 1, 2, 2].into_iter().map(move |second| {
        let time = EventTime::from_micros(start + second * SECOND);
        serde_json::json!({
            "timestamp": time.to_string(),
            "level": "ERROR",
            "service": "billing_api",
            "message": "Payment gateway refused the call: timeout after 30000 ms",
        })
        .to_string()
    })
}

fn in_words(errors: &[simulator::ParamError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
