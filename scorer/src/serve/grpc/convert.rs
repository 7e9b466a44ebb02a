//! Between the messages of `isolog.v1` and the engine's types. Scores nothing.

use engine::decode::{RejectReason, Rejected};
use engine::event::{EventTime, Level, Limits, LogEvent, TimeSource};
use engine::model::{Explanation, ReasonKind, Score};
use proto::v1;

use crate::live::Loaded;

/// The event of a message whose fields are known; `received` is its time where it has none.
///
/// # Errors
/// It is outside the limits that decoded records keep to, or its time is no time.
pub fn event_of(event: v1::LogEvent, received: EventTime, limits: Limits) -> Result<LogEvent, Rejected> {
    let reject = |reason, detail| Err(Rejected { reason, detail });
    if event.message.trim().is_empty() {
        return reject(RejectReason::NoMessage, "event.message is empty; it must hold some text".to_owned());
    }
    if event.attributes.len() > limits.max_attributes {
        let (found, most) = (event.attributes.len(), limits.max_attributes);
        let detail = format!("the event has {found} attributes; at most {most} are allowed");
        return reject(RejectReason::TooManyAttributes, detail);
    }
    let bytes: usize = event.attributes.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
        + event.message.len()
        + event.service.len();
    if bytes > limits.max_line_bytes {
        let most = limits.max_line_bytes;
        let detail = format!("the event's texts have {bytes} bytes; at most {most} are allowed");
        return reject(RejectReason::TooLong, detail);
    }
    let level = level_of(event.level)?;
    let (timestamp, time_source) = match event.timestamp {
        Some(written) => (time_of(written, "event.timestamp")?, TimeSource::Record),
        None => (received, TimeSource::Transport),
    };
    let mut attributes: Vec<(String, String)> = event.attributes.into_iter().collect();
    // A map on the wire has no order; the model must not see one.
    attributes.sort();
    Ok(LogEvent { timestamp, time_source, service: event.service, level, message: event.message, attributes })
}

/// A time on the wire.
///
/// # Errors
/// Seconds or nanoseconds out of range.
pub fn time_of(time: prost_types::Timestamp, field: &str) -> Result<EventTime, Rejected> {
    let micros = time.seconds.checked_mul(1_000_000).filter(|_| (0..1_000_000_000).contains(&time.nanos));
    match micros.and_then(|micros| micros.checked_add(i64::from(time.nanos) / 1_000)) {
        Some(micros) => Ok(EventTime::from_micros(micros)),
        None => Err(Rejected {
            reason: RejectReason::InvalidTime,
            detail: format!(
                "{field} has {} seconds and {} nanoseconds; nanoseconds go from 0 to 999999999, seconds must \
                 fit 64 bits as microseconds",
                time.seconds, time.nanos
            ),
        }),
    }
}

/// Microseconds since the epoch on the wire.
pub fn timestamp(micros: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// A level on the wire; `None` where the event names none.
///
/// # Errors
/// The number is none of `Level`.
pub fn level_of(level: i32) -> Result<Option<Level>, Rejected> {
    let known = v1::Level::try_from(level).map_err(|_| Rejected {
        reason: RejectReason::Malformed,
        detail: format!(
            "event.level is {level}; allowed: 0 (unspecified), 1 (TRACE), 2 (DEBUG), 3 (INFO), 4 (WARN), 5 (ERROR), \
             6 (FATAL); send 0 where the level is not known"
        ),
    })?;
    Ok(match known {
        v1::Level::Unspecified => None,
        v1::Level::Trace => Some(Level::Trace),
        v1::Level::Debug => Some(Level::Debug),
        v1::Level::Info => Some(Level::Info),
        v1::Level::Warn => Some(Level::Warn),
        v1::Level::Error => Some(Level::Error),
        v1::Level::Fatal => Some(Level::Fatal),
    })
}

/// For which lines the reasons are wanted.
///
/// # Errors
/// The number is none of `Explain`.
pub fn explain_of(explain: i32) -> Result<v1::Explain, Rejected> {
    v1::Explain::try_from(explain).map_err(|_| Rejected {
        reason: RejectReason::Malformed,
        detail: format!(
            "explain is {explain}; allowed: 0 (as 1), 1 (for anomalies), 2 (for every line), 3 (for none); leave it out \
             for 1"
        ),
    })
}

fn level_message(level: Option<Level>) -> v1::Level {
    match level {
        None => v1::Level::Unspecified,
        Some(Level::Trace) => v1::Level::Trace,
        Some(Level::Debug) => v1::Level::Debug,
        Some(Level::Info) => v1::Level::Info,
        Some(Level::Warn) => v1::Level::Warn,
        Some(Level::Error) => v1::Level::Error,
        Some(Level::Fatal) => v1::Level::Fatal,
    }
}

/// A scored event with its explanation, where there is one.
pub fn scored_event(
    event: LogEvent,
    score: Score,
    anomaly: bool,
    explanation: Option<Explanation>,
) -> v1::ScoredEvent {
    let (reasons, pattern, nearest_pattern) = match explanation {
        Some(explanation) => (explanation.reasons, explanation.pattern, explanation.nearest_pattern),
        None => Default::default(),
    };
    let reasons = reasons
        .into_iter()
        .map(|reason| v1::Reason {
            kind: reason_kind(reason.kind).into(),
            word: reason.word,
            contribution: reason.contribution,
            seen: reason.seen,
        })
        .collect();
    let event = v1::LogEvent {
        timestamp: Some(timestamp(event.timestamp.as_micros())),
        service: event.service,
        level: level_message(event.level).into(),
        message: event.message,
        attributes: event.attributes.into_iter().collect(),
    };
    v1::ScoredEvent {
        event: Some(event),
        score: score.score,
        percentile: score.percentile,
        forest_score: score.forest,
        anomaly,
        reasons,
        pattern,
        nearest_pattern,
        surprisal: Some(score.surprisal),
    }
}

fn reason_kind(kind: ReasonKind) -> v1::ReasonKind {
    match kind {
        ReasonKind::RareWord => v1::ReasonKind::RareWord,
        ReasonKind::RarePattern => v1::ReasonKind::RarePattern,
        ReasonKind::Severity => v1::ReasonKind::Severity,
        ReasonKind::UnusualCombination => v1::ReasonKind::UnusualCombination,
        _ => v1::ReasonKind::Unspecified,
    }
}

/// A rejection as a result.
pub fn rejection(rejected: Rejected) -> v1::Rejection {
    v1::Rejection { reason: rejected.reason.as_str().to_owned(), detail: rejected.detail }
}

/// The model's name and threshold.
pub fn model_ref(loaded: &Loaded) -> v1::ModelRef {
    v1::ModelRef { digest: loaded.model.digest().to_owned(), threshold: loaded.threshold.score }
}

/// All that is told of a model.
pub fn model_info(loaded: &Loaded) -> v1::ModelInfo {
    let provenance = loaded.model.provenance();
    v1::ModelInfo {
        model: Some(model_ref(loaded)),
        share_above_threshold: loaded.threshold.share,
        threshold_source: loaded.threshold_source.to_owned(),
        inputs: provenance.inputs.clone(),
        rows: provenance.rows,
        rejected_rows: provenance.rejected,
        first_time: Some(timestamp(provenance.first_time)),
        last_time: Some(timestamp(provenance.last_time)),
        contamination: provenance.contamination.clone(),
        seed: provenance.seed,
        program_version: provenance.program_version.clone(),
        path: loaded.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        loaded_at: Some(timestamp(loaded.loaded_at.as_microsecond())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_survives_the_wire(micros in any::<i64>()) {
            prop_assert_eq!(time_of(timestamp(micros), "t").unwrap().as_micros(), micros);
        }

        #[test]
        fn any_time_on_the_wire_is_a_time_or_a_rejection(seconds: i64, nanos: i32) {
            let time = time_of(prost_types::Timestamp { seconds, nanos }, "event.timestamp");
            if let Err(rejected) = time {
                prop_assert_eq!(rejected.reason, RejectReason::InvalidTime);
                prop_assert!(rejected.detail.contains(&seconds.to_string()));
            }
        }
    }

    fn message(text: &str, attributes: usize) -> v1::LogEvent {
        let attributes = (0..attributes).map(|n| (format!("key{n}"), "v".to_owned())).collect();
        v1::LogEvent { message: text.to_owned(), attributes, ..Default::default() }
    }

    #[test]
    fn a_known_event_keeps_to_the_limits_of_decoded_ones() {
        let limits = Limits { max_line_bytes: 10, max_attributes: 2, ..Limits::default() };
        let reason = |event| event_of(event, EventTime::from_micros(7), limits).map_err(|error| error.reason);
        assert_eq!(reason(message(" ", 0)), Err(RejectReason::NoMessage));
        assert_eq!(reason(message("x", 3)), Err(RejectReason::TooManyAttributes));
        assert_eq!(reason(message("twelve bytes", 0)), Err(RejectReason::TooLong));
        let event = reason(message("ok", 1)).unwrap();
        assert_eq!((event.timestamp, event.time_source), (EventTime::from_micros(7), TimeSource::Transport));
    }

    #[test]
    fn every_level_survives_the_wire() {
        for level in Level::ALL {
            assert_eq!(level_of(level_message(Some(level)).into()).unwrap(), Some(level));
        }
        assert_eq!(level_of(level_message(None).into()).unwrap(), None);
    }

    #[test]
    fn a_number_that_is_no_level_and_no_wish_is_refused_and_named() {
        for number in [-1, 4, 99] {
            let rejected = explain_of(number).unwrap_err();
            assert!(rejected.detail.contains(&format!("explain is {number}; allowed: ")), "{rejected}");
        }
        for number in [-1, 7, 99] {
            let rejected = level_of(number).unwrap_err();
            assert_eq!(rejected.reason, RejectReason::Malformed);
            assert!(rejected.detail.contains(&format!("event.level is {number}; allowed: ")), "{rejected}");
        }
    }
}
