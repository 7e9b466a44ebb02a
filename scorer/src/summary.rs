//! What the web access events of the last hour come to: the busiest addresses, the most asked for pages, the newest
//! errors; as `summary.json` and over HTTP. Bounded: a minute keeps at most a thousand different addresses and pages.

mod heavy;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::decode::FieldNames;
use engine::decode::web::WebAccess;
use engine::event::{EventTime, LogEvent};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::metrics::{Metrics, ResultLabel};
use crate::sink::cut;
use heavy::Heavy;

const MINUTE: i64 = 60_000_000;
/// How many minutes are the last hour.
const MINUTES: i64 = 60;
/// The hour in seconds.
pub const WINDOW_SECONDS: u64 = 60 * MINUTES.unsigned_abs();
/// How many of each are told.
const TOP: usize = 10;
/// Newest errors that are told.
const ERRORS: usize = 100;
/// Longest address of a client and of a page that is kept, in bytes.
const IP_BYTES: usize = 64;
const URL_BYTES: usize = 256;
/// How often the file is written.
const EVERY: Duration = Duration::from_secs(10);

/// The summary in the making; clones add to the same one.
#[derive(Clone, Debug)]
pub struct Summary(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` where it is only shown.
    path: Option<PathBuf>,
    names: FieldNames,
    window: Mutex<Window>,
}

/// What is written.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    top_ips: Vec<IpCount>,
    top_urls: Vec<UrlCount>,
    errors: Vec<Failure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct IpCount {
    ip: String,
    count: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct UrlCount {
    url: String,
    count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Failure {
    status: u16,
    ip: String,
    url: String,
}

impl Summary {
    /// As the settings say; written to a file only where they name one.
    pub fn of(settings: &Settings) -> Self {
        let output = &settings.output;
        Self::new(output.summary_path.clone(), output.summary_error_status, settings.decode.names.clone())
    }

    /// To be written to `path`, where there is one; a status of `least_error` or more is an error. The attributes' names are those of
    /// the settings.
    fn new(path: Option<PathBuf>, least_error: u16, names: FieldNames) -> Self {
        Self(Arc::new(Inner { path, names, window: Mutex::new(Window::new(least_error)) }))
    }

    /// Adds an event, where it is a web access.
    pub fn add(&self, event: &LogEvent) {
        // An address, a method, a page and a status are attributes each.
        if event.attributes.len() >= 3
            && let Some(access) = WebAccess::of(event, &self.0.names)
        {
            self.window(|window| window.add(&access, event.timestamp, now()));
        }
    }

    /// What the last hour comes to.
    pub fn report(&self) -> Report {
        self.window(|window| window.report(now()))
    }

    /// What the last hour comes to, and how many accesses that were.
    pub fn report_and_accesses(&self) -> (Report, u64) {
        self.window(|window| {
            let report = window.report(now());
            (report, window.minutes.iter().map(|minute| minute.accesses).sum())
        })
    }

    fn window<T>(&self, work: impl FnOnce(&mut Window) -> T) -> T {
        work(&mut self.0.window.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the file every 10 s, and once more when the stop begins.
    pub async fn keep_writing(self, stop: CancellationToken, metrics: Metrics) {
        let Some(path) = self.0.path.clone() else { return };
        let mut failing = false;
        loop {
            let stopped = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
            let (this, to) = (self.clone(), path.clone());
            let written = tokio::task::spawn_blocking(move || write(&to, &this.report())).await;
            let written = written.unwrap_or_else(|error| Err(std::io::Error::other(error)));
            let result = if written.is_ok() { "ok" } else { "failed" };
            metrics.summary_writes.get_or_create(&ResultLabel { result }).inc();
            match written {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    let path = path.display();
                    tracing::warn!("SUMMARY_PATH = {path} cannot be written, tried again: {error}");
                }
                Err(_) => {}
            }
            if stopped {
                return;
            }
        }
    }
}

/// Whole or not at all: whoever reads it meanwhile sees the one before.
fn write(path: &Path, report: &Report) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut file = std::fs::File::create(&new)?;
    serde_json::to_writer(&mut file, report)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

fn now() -> EventTime {
    EventTime::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// One minute of event time.
#[derive(Debug)]
struct Minute {
    number: i64,
    accesses: u64,
    ips: Heavy,
    urls: Heavy,
}

/// The last hour of the stream's own time, which goes on with the clock while nothing comes, and never ahead of it.
#[derive(Debug)]
struct Window {
    least_error: u16,
    /// In the order of their numbers.
    minutes: VecDeque<Minute>,
    /// With their times, as they came.
    errors: VecDeque<(i64, Failure)>,
    /// The stream's newest time, and the clock when it came.
    newest: Option<(i64, i64)>,
}

impl Window {
    fn new(least_error: u16) -> Self {
        Self { least_error, minutes: VecDeque::new(), errors: VecDeque::new(), newest: None }
    }

    fn add(&mut self, access: &WebAccess<'_>, time: EventTime, now: EventTime) {
        let (time, now) = (time.as_micros(), now.as_micros());
        // A clock that is ahead must not push the others' events out.
        if time > now {
            return self.add(access, EventTime::from_micros(now), EventTime::from_micros(now));
        }
        if self.stream_time(now).is_none_or(|newest| time > newest) {
            self.newest = Some((time, now));
            self.forget(time);
        }
        let number = time.div_euclid(MINUTE);
        if self.stream_time(now).is_some_and(|newest| number <= newest.div_euclid(MINUTE) - MINUTES) {
            return;
        }
        let (ip, url) = (cut(access.ip, IP_BYTES), cut(access.url, URL_BYTES));
        let minute = self.minute(number);
        minute.accesses += 1;
        if !ip.is_empty() {
            minute.ips.add(ip);
        }
        minute.urls.add(url);
        if access.status >= self.least_error {
            if self.errors.len() == ERRORS {
                self.errors.pop_front();
            }
            let failure = Failure { status: access.status, ip: ip.to_owned(), url: url.to_owned() };
            self.errors.push_back((time, failure));
        }
    }

    fn minute(&mut self, number: i64) -> &mut Minute {
        let place = self.minutes.partition_point(|minute| minute.number < number);
        if self.minutes.get(place).is_none_or(|minute| minute.number != number) {
            self.minutes
                .insert(place, Minute { number, accesses: 0, ips: Heavy::default(), urls: Heavy::default() });
        }
        &mut self.minutes[place]
    }

    /// What the time is in the stream at the clock's `now`.
    fn stream_time(&self, now: i64) -> Option<i64> {
        self.newest
            .map(|(time, seen)| time.saturating_add(now.saturating_sub(seen).max(0)).min(now.max(time)))
    }

    /// Drops what is more than an hour before `time`.
    fn forget(&mut self, time: i64) {
        let first = time.div_euclid(MINUTE) - MINUTES + 1;
        while self.minutes.front().is_some_and(|minute| minute.number < first) {
            self.minutes.pop_front();
        }
        self.errors.retain(|(time, _)| time.div_euclid(MINUTE) >= first);
    }

    fn report(&mut self, now: EventTime) -> Report {
        let Some(time) = self.stream_time(now.as_micros()) else { return Report::default() };
        self.forget(time);
        let top = |of: fn(&Minute) -> &Heavy| heavy::top(self.minutes.iter().map(of), TOP);
        Report {
            top_ips: top(|minute| &minute.ips).into_iter().map(|(ip, count)| IpCount { ip, count }).collect(),
            top_urls: top(|minute| &minute.urls)
                .into_iter()
                .map(|(url, count)| UrlCount { url, count })
                .collect(),
            errors: self.errors.iter().rev().map(|(_, failure)| failure.clone()).collect(),
        }
    }
}
