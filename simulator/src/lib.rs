//! A web shop's log stream: thirteen services, request flows, web accesses, ordinary errors and labelled anomalies.
//! Pure: seed and times are arguments, it never reads a clock, waits or writes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::event::{EventTime, Level, LogEvent, TimeSource};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

mod access;
mod anomaly;
mod catalog;
pub mod days;
pub mod families;
mod values;

pub use access::Access;
pub use anomaly::KINDS as ANOMALY_KINDS;

use catalog::{FLOWS, Flow};
use values::{Context, expand, latency_ms, pick};

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Seed of the random generator: the same parameters give the same lines.
    pub seed: u64,
    /// Time of the first line.
    pub start: EventTime,
    /// Mean lines per second, greater than 0, at most 1 000 000.
    pub rate: f64,
    /// Share of lines that are anomalies, 0–1.
    pub anomaly_ratio: f64,
    /// Share of the other lines that are ordinary errors, 0–1.
    pub error_rate: f64,
    /// Share of the other lines that are web access events, 0–0.9.
    pub web_share: f64,
    /// How far the rate swings up by day and down by night (UTC), 0–0.9.
    pub daily_swing: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            seed: 42,
            start: EventTime::from_micros(0),
            rate: 20.0,
            anomaly_ratio: 0.01,
            error_rate: 0.03,
            web_share: 0.1,
            daily_swing: 0.0,
        }
    }
}

/// A parameter out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamError {
    /// The field of [`Params`].
    pub name: &'static str,
    /// The value that was given.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl std::fmt::Display for ParamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {} is out of range: {}", self.name, self.value, self.allowed)
    }
}

impl std::error::Error for ParamError {}

impl Params {
    /// Checks every range.
    ///
    /// # Errors
    /// All parameters that are out of range.
    pub fn check(&self) -> Result<(), Vec<ParamError>> {
        let rows: [(&'static str, f64, bool, &'static str); 5] = [
            ("rate", self.rate, self.rate > 0.0 && self.rate <= 1e6, "lines per second in (0, 1000000]"),
            (
                "anomaly_ratio",
                self.anomaly_ratio,
                (0.0..=1.0).contains(&self.anomaly_ratio),
                "a share in [0, 1]",
            ),
            ("error_rate", self.error_rate, (0.0..=1.0).contains(&self.error_rate), "a share in [0, 1]"),
            ("web_share", self.web_share, (0.0..=0.9).contains(&self.web_share), "a share in [0, 0.9]"),
            ("daily_swing", self.daily_swing, (0.0..=0.9).contains(&self.daily_swing), "a share in [0, 0.9]"),
        ];
        let errors: Vec<_> = rows
            .into_iter()
            .filter(|(_, _, valid, _)| !valid)
            .map(|(name, value, _, allowed)| ParamError { name, value: value.to_string(), allowed })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

/// One generated line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimLine {
    /// Event time, whole milliseconds.
    pub timestamp: EventTime,
    /// The service that wrote it.
    pub service: &'static str,
    /// Its severity.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// The request it belongs to, 32 hexadecimal digits.
    pub trace_id: String,
    /// How long the step took, where it has a duration.
    pub duration_ms: Option<u32>,
    /// The access event behind the line, for lines of the web server.
    pub access: Option<Access>,
    /// Further fields of a business event.
    pub fields: Vec<(&'static str, serde_json::Value)>,
    /// The kind of anomaly, one of [`ANOMALY_KINDS`] or of [`families::Family::anomalies`]; none for an ordinary line.
    pub label: Option<&'static str>,
}

impl SimLine {
    /// The line as a JSON object: a log record, or a web access event.
    pub fn json(&self) -> String {
        let value = match &self.access {
            Some(access) => serde_json::json!({
                "timestamp": self.timestamp.as_micros() / 1_000_000,
                "ip": access.ip,
                "method": access.method,
                "url": access.url,
                "status": access.status,
                "service": self.service,
            }),
            None => {
                let mut value = serde_json::json!({
                    "timestamp": self.timestamp.to_string(),
                    "level": self.level.as_str(),
                    "service": self.service,
                    "message": self.message,
                    "trace_id": self.trace_id,
                });
                if let Some(duration) = self.duration_ms {
                    value["duration_ms"] = duration.into();
                }
                for (name, field) in &self.fields {
                    value[*name] = field.clone();
                }
                value
            }
        };
        value.to_string()
    }

    /// The line as the engine's event, without going through bytes.
    pub fn event(&self) -> LogEvent {
        let mut attributes = vec![("trace_id".to_owned(), self.trace_id.clone())];
        attributes.extend(self.duration_ms.map(|ms| ("duration_ms".to_owned(), ms.to_string())));
        attributes.extend(self.fields.iter().map(|(name, field)| {
            let text = field.as_str().map_or_else(|| field.to_string(), str::to_owned);
            ((*name).to_owned(), text)
        }));
        LogEvent {
            timestamp: self.timestamp,
            time_source: TimeSource::Record,
            service: self.service.to_owned(),
            level: Some(self.level),
            message: self.message.clone(),
            attributes,
        }
    }
}

/// A line waiting for its turn; ordered by time, then by the order of generation.
#[derive(Debug, PartialEq, Eq)]
struct Waiting {
    key: (i64, u64),
    line: SimLine,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// An endless stream of lines in order of time.
#[derive(Debug)]
pub struct Simulator {
    params: Params,
    rng: Xoshiro256PlusPlus,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// Arrival of the next request, microseconds.
    next_arrival: f64,
    generated: u64,
    /// Services that write nothing.
    off: Vec<&'static str>,
    /// What bursts are drawn from, so that they change nothing of the stream beside them.
    bursts: Xoshiro256PlusPlus,
}

impl Simulator {
    /// A stream for these parameters.
    ///
    /// # Errors
    /// All parameters that are out of range.
    pub fn new(params: Params) -> Result<Self, Vec<ParamError>> {
        params.check()?;
        Ok(Self {
            params,
            rng: Xoshiro256PlusPlus::seed_from_u64(params.seed),
            waiting: BinaryHeap::new(),
            next_arrival: params.start.as_micros() as f64,
            generated: 0,
            off: Vec::new(),
            bursts: Xoshiro256PlusPlus::seed_from_u64(params.seed ^ BURSTS),
        })
    }

    /// The parameters in force.
    pub fn params(&self) -> Params {
        self.params
    }

    /// Changes rate and shares from the next request on; seed and start have no effect any more.
    ///
    /// # Errors
    /// All parameters that are out of range; the old ones then stay in force.
    pub fn set_params(&mut self, params: Params) -> Result<(), Vec<ParamError>> {
        params.check()?;
        self.params = params;
        Ok(())
    }

    /// As [`Simulator::set_params`] at a time of the stream: what is left of the wait for the next request shrinks or
    /// grows with the rate.
    ///
    /// # Errors
    /// As [`Simulator::set_params`].
    pub fn set_params_at(&mut self, params: Params, now: EventTime) -> Result<(), Vec<ParamError>> {
        let before = self.params.rate;
        self.set_params(params)?;
        let now = now.as_micros() as f64;
        if self.next_arrival > now {
            self.next_arrival = now + (self.next_arrival - now) * before / params.rate;
        }
        Ok(())
    }

    /// Whether a service writes lines. One that is off goes on being drawn, so that nothing of the others' lines
    /// changes; its own are left out from the next request on.
    ///
    /// # Errors
    /// No service of [`services`] has this name.
    pub fn set_service(&mut self, service: &str, on: bool) -> Result<(), ParamError> {
        let known = known(service)?;
        self.off.retain(|off| *off != known);
        if !on {
            self.off.push(known);
        }
        Ok(())
    }

    /// Whether a service writes lines.
    pub fn is_on(&self, service: &str) -> bool {
        !self.off.contains(&service)
    }

    /// `lines` of level ERROR of one service, all at the time `at`: what its operators know as its errors. They are
    /// no part of the stream that [`Simulator::next_line`] gives, which stays as it would have been.
    ///
    /// # Errors
    /// No service of [`services`] has this name.
    pub fn burst(&mut self, service: &str, lines: usize, at: EventTime) -> Result<Vec<SimLine>, ParamError> {
        let known = known(service)?;
        let timestamp = EventTime::from_millis(at.as_micros().div_euclid(1_000));
        let rng = &mut self.bursts;
        let line = |_| {
            let context = Context::new(rng);
            if known == access::SERVICE {
                return access_line(access::ordinary(&context.ip, true, rng), &context, timestamp, None);
            }
            let ms = latency_ms(rng, 40);
            let errors = catalog::service(known).map_or(&[][..], |service| service.errors);
            SimLine {
                timestamp,
                service: known,
                level: Level::Error,
                message: expand(pick(rng, errors), &context, ms, rng),
                trace_id: context.trace_id,
                duration_ms: Some(ms),
                access: None,
                fields: Vec::new(),
                label: None,
            }
        };
        Ok((0..lines).map(line).collect())
    }

    /// The next line; times never go back.
    pub fn next_line(&mut self) -> SimLine {
        loop {
            if let Some(Reverse(first)) = self.waiting.peek()
                && (first.key.0 as f64) < self.next_arrival
                && let Some(Reverse(next)) = self.waiting.pop()
            {
                return next.line;
            }
            self.request();
        }
    }

    /// Generates all lines of one request and sets the arrival of the next.
    fn request(&mut self) {
        let before = self.generated;
        let context = Context::new(&mut self.rng);
        let flow = self.draw_flow();
        let mut micros = self.next_arrival as i64;
        for step in flow.steps {
            if !self.step(step, &context, &mut micros) {
                break;
            }
        }
        let lines = (self.generated - before) as f64;
        // A uniform gap of mean lines/rate: unlike a logarithm, its bits are the same on every platform.
        let gap = self.rng.gen_range(0.0..2.0) * lines / self.rate_at(self.next_arrival);
        self.next_arrival += gap * 1e6;
    }

    /// One step of a request, with what happens beside it; false when the request ends here.
    fn step(&mut self, step: &'static catalog::Step, context: &Context, micros: &mut i64) -> bool {
        let ms = latency_ms(&mut self.rng, step.typical_ms);
        *micros += i64::from(ms) * 1_000;
        self.bystanders(context, *micros);
        let trouble = catalog::service(step.service);
        let fails = self.rng.gen_bool(self.params.error_rate);
        let warns = !fails && self.rng.gen_bool(0.02);
        let (level, templates) = match trouble {
            Some(known) if fails => (Level::Error, known.errors),
            Some(known) if warns => (Level::Warn, known.warnings),
            _ => (step.level, step.says),
        };
        let template = pick(&mut self.rng, templates);
        let message = expand(template, context, ms, &mut self.rng);
        self.push(SimLine {
            timestamp: EventTime::from_micros(*micros),
            service: step.service,
            level,
            message,
            trace_id: context.trace_id.clone(),
            duration_ms: Some(ms),
            access: None,
            fields: Vec::new(),
            label: None,
        });
        !fails
    }

    /// Web accesses and anomalies that fall into the time of a step.
    fn bystanders(&mut self, context: &Context, micros: i64) {
        while self.rng.gen_bool(self.params.web_share) {
            self.anomalies(context, micros);
            let fails = self.rng.gen_bool(self.params.error_rate);
            let access = access::ordinary(&context.ip, fails, &mut self.rng);
            self.push_access(access, context, micros, None);
        }
        self.anomalies(context, micros);
    }

    /// Anomalies before one ordinary line: so many that they make up their share of all lines.
    fn anomalies(&mut self, context: &Context, micros: i64) {
        // A ratio of 1 would never let an ordinary line through; the bound keeps the stream moving.
        for _ in 0..10_000 {
            if !self.rng.gen_bool(self.params.anomaly_ratio) {
                break;
            }
            let odd = anomaly::draw(context, &mut self.rng);
            match odd.access {
                Some(access) => self.push_access(access, context, micros, Some(odd.label)),
                None => self.push(SimLine {
                    timestamp: EventTime::from_micros(micros),
                    service: odd.service,
                    level: odd.level,
                    message: odd.message,
                    trace_id: context.trace_id.clone(),
                    duration_ms: None,
                    access: None,
                    fields: Vec::new(),
                    label: Some(odd.label),
                }),
            }
        }
    }

    fn push_access(&mut self, access: Access, context: &Context, micros: i64, label: Option<&'static str>) {
        self.push(access_line(access, context, EventTime::from_micros(micros), label));
    }

    fn push(&mut self, mut line: SimLine) {
        let millis = line.timestamp.as_micros().div_euclid(1_000);
        line.timestamp = EventTime::from_millis(millis);
        let key = (line.timestamp.as_micros(), self.generated);
        self.generated += 1;
        if self.is_on(line.service) {
            self.waiting.push(Reverse(Waiting { key, line }));
        }
    }

    fn draw_flow(&mut self) -> &'static Flow {
        let total: u32 = FLOWS.iter().map(|flow| flow.weight).sum();
        let mut ticket = self.rng.gen_range(0..total);
        for flow in FLOWS {
            if ticket < flow.weight {
                return flow;
            }
            ticket -= flow.weight;
        }
        &FLOWS[0]
    }

    /// Lines per second at a time of day: a triangle wave, lowest at 03:00 and highest at 15:00 UTC.
    fn rate_at(&self, micros: f64) -> f64 {
        let hour = (micros / 3.6e9 - 3.0).rem_euclid(24.0);
        let wave = 1.0 - (hour - 12.0).abs() / 6.0;
        self.params.rate * (1.0 + self.params.daily_swing * wave)
    }
}

/// Names of all services, in the order of the catalogue; the web server comes last.
pub fn services() -> impl Iterator<Item = &'static str> {
    catalog::SERVICES.iter().map(|service| service.name).chain([access::SERVICE])
}

/// Told apart from the stream's own seed.
const BURSTS: u64 = 0x6275_7273_7400_0001;

fn known(service: &str) -> Result<&'static str, ParamError> {
    services().find(|name| *name == service).ok_or_else(|| ParamError {
        name: "service",
        value: service.to_owned(),
        allowed: "one of the simulator's services",
    })
}

fn access_line(
    access: Access,
    context: &Context,
    timestamp: EventTime,
    label: Option<&'static str>,
) -> SimLine {
    SimLine {
        timestamp,
        service: access::SERVICE,
        level: access.level(),
        message: access.message(),
        trace_id: context.trace_id.clone(),
        duration_ms: None,
        access: Some(access),
        fields: Vec::new(),
        label,
    }
}

impl Iterator for Simulator {
    type Item = SimLine;

    fn next(&mut self) -> Option<SimLine> {
        Some(self.next_line())
    }
}

#[cfg(test)]
mod tests;
