//! `scorer scan --session-key`: whole sessions in place of lines. Without a model it trains on the sessions of the
//! input itself, each left out of what it is compared with.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use corpus::{Input, Options, load_model};
use engine::model::session::{
    Session, SessionKey, SessionModel, SessionScore, SessionSettings, SessionTrainer,
};
use engine::model::train::TrainParams;
use engine::model::{Contamination, Reason, ReasonKind, Threshold};
use engine::terminal::{shown, thousands};
use serde::Serialize;

use super::{ScanArgs, TOP, read_all, report_rejects};
use crate::EXIT_FOUND;
use crate::config::Settings;
use crate::live;

/// Longest text of an event that people are shown, in characters.
const SHOWN_CHARACTERS: usize = 120;

/// One session as `--json` prints it.
#[derive(Debug, Serialize)]
struct JsonSession<'a> {
    session: &'a str,
    service: &'a str,
    level: Option<&'static str>,
    first: String,
    last: String,
    lines: u32,
    score: f64,
    percentile: f64,
    forest: f64,
    surprisal: f64,
    anomaly: bool,
    reasons: Vec<Reason>,
}

/// A model of sessions, its threshold, and whether the sessions to be scored are its own.
struct Judge {
    model: SessionModel,
    threshold: Threshold,
    on_itself: bool,
}

struct Odd {
    session: Session,
    score: SessionScore,
    anomaly: bool,
}

/// Scans the sessions of the inputs.
///
/// # Errors
/// The key, the model or the inputs cannot be used.
pub fn run(
    args: &ScanArgs,
    setting: &str,
    inputs: &[Input],
    options: &Options,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let key = SessionKey::parse(setting).context("--session-key cannot be used")?;
    let judge = judge(args, key, inputs, options, settings)?;
    let mut open = judge.model.open_sessions();
    let (mut odd, mut sessions): (Vec<Odd>, u64) = (Vec::new(), 0);
    let top = args.top.unwrap_or(if args.json { usize::MAX } else { TOP });
    let mut found = 0;
    let mut take = |session: Session| {
        let score = match judge.on_itself {
            true => judge.model.score_training(&session),
            false => judge.model.score(&session),
        };
        let anomaly = score.score > judge.threshold.score;
        sessions += 1;
        found += u64::from(anomaly);
        if anomaly || args.all {
            odd.push(Odd { session, score, anomaly });
            if odd.len() > top.saturating_mul(2).max(1_024) {
                keep_top(&mut odd, top);
            }
        }
    };
    let (_, rejects) = read_all(inputs, options, "scoring", |batch| {
        for event in &mut batch.events {
            settings.redactor.redact(event);
            open.advance(event.timestamp, &mut take);
            open.observe(event, &mut take);
        }
    })?;
    open.finish(&mut take);
    if top < usize::MAX {
        keep_top(&mut odd, top);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        odd.iter().try_for_each(|odd| json(&judge, odd, &mut out))?;
    } else {
        let name = inputs.first().map(Input::name).unwrap_or_default();
        summary(&judge, &name, sessions, found, &mut out)?;
        odd.iter().try_for_each(|odd| print(&judge, odd, &mut out))?;
    }
    out.flush()?;
    report_rejects(&rejects, args.json);
    Ok(if found > 0 && args.exit_code { ExitCode::from(EXIT_FOUND) } else { ExitCode::SUCCESS })
}

fn keep_top(odd: &mut Vec<Odd>, top: usize) {
    odd.sort_by(|a, b| {
        b.score.score.total_cmp(&a.score.score).then_with(|| a.session.key.cmp(&b.session.key))
    });
    odd.truncate(top);
}

fn judge(
    args: &ScanArgs,
    key: SessionKey,
    inputs: &[Input],
    options: &Options,
    settings: &Settings,
) -> anyhow::Result<Judge> {
    let (model, trained_with, on_itself) = match &args.model {
        Some(path) => {
            let model = load_model(path)?;
            let contamination = model.contamination();
            let name = path.display();
            let Some(sessions) = model.into_sessions() else {
                bail!("{name} knows no sessions: train it with SESSION_KEY={}", key.as_str());
            };
            if sessions.key().as_str() != key.as_str() {
                bail!(
                    "{name} was trained with the session key {}, not {}: give that one, or train it again",
                    sessions.key().as_str(),
                    key.as_str()
                );
            }
            (sessions, contamination, false)
        }
        None => {
            let model = train(args, key, inputs, options, settings)?;
            (model, TrainParams::default().contamination, true)
        }
    };
    let contamination = settings.model.contamination.unwrap_or(trained_with);
    let threshold = match settings.model.score_threshold {
        Some(score) => Threshold { score, share: model.share_above(score) },
        None => model.threshold(contamination),
    };
    if let Some(doubt) = live::doubt(threshold, "ANOMALY_SCORE_THRESHOLD or CONTAMINATION") {
        tell!("warning: {}", doubt.replace("training lines", "training sessions"));
    }
    Ok(Judge { model, threshold, on_itself })
}

fn train(
    args: &ScanArgs,
    key: SessionKey,
    inputs: &[Input],
    options: &Options,
    settings: &Settings,
) -> anyhow::Result<SessionModel> {
    let contamination = settings.model.contamination.unwrap_or(Contamination::Share(0.05));
    let params = TrainParams { contamination, ..TrainParams::default() };
    let params = match params.check() {
        Ok(params) => params,
        Err(errors) => bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    let setting = key.as_str().to_owned();
    let idle_micros = i64::from(args.session_idle_s) * 1_000_000;
    let bounds = SessionSettings { idle_micros, ..SessionSettings::default() };
    let mut trainer = SessionTrainer::new(params, key, bounds);
    read_all(inputs, options, "training", |batch| {
        for event in &mut batch.events {
            settings.redactor.redact(event);
        }
        trainer.observe(&batch.events);
    })?;
    let name = inputs.first().map(Input::name).unwrap_or_default();
    let Some(model) = trainer.finish() else {
        bail!("{name} holds no two sessions by {setting}: at least 2 are needed to train on");
    };
    tell!("no --model: trained on the {} sessions of the input itself", model.sessions());
    Ok(model)
}

impl Judge {
    fn explain(&self, session: &Session) -> Vec<Reason> {
        match self.on_itself {
            true => self.model.explain_training(session),
            false => self.model.explain(session),
        }
    }
}

fn json(judge: &Judge, odd: &Odd, out: &mut impl Write) -> io::Result<()> {
    let Odd { session, score, anomaly } = odd;
    let object = JsonSession {
        session: &session.key,
        service: &session.service,
        level: session.level.map(|level| level.as_str()),
        first: session.first.to_string(),
        last: session.last.to_string(),
        lines: session.lines,
        score: score.score,
        percentile: score.percentile,
        forest: score.forest,
        surprisal: score.surprisal,
        anomaly: *anomaly,
        reasons: judge.explain(session),
    };
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

fn summary(judge: &Judge, name: &str, sessions: u64, found: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{name}: {} sessions by {}, {} of them odd (score above {:.4})",
        thousands(sessions),
        shown(judge.model.key().as_str(), 60),
        thousands(found),
        judge.threshold.score
    )
}

fn print(judge: &Judge, odd: &Odd, out: &mut impl Write) -> io::Result<()> {
    let Odd { session, score, .. } = odd;
    writeln!(
        out,
        "\n{:.3}  {}  {}  {} lines from {} to {}",
        score.score,
        shown(&session.key, SHOWN_CHARACTERS),
        shown(&session.service, SHOWN_CHARACTERS),
        thousands(u64::from(session.lines)),
        session.first,
        session.last
    )?;
    writeln!(
        out,
        "    odder than {:.2} % of the training sessions; forest {:.3} (0 to 1), surprisal of the rarest event {:.2} nats",
        score.percentile, score.forest, score.surprisal
    )?;
    let like = judge.model.sessions_like(session);
    let mut of = (thousands(like), String::new());
    if like < judge.model.sessions() {
        of.1 = format!(" of {}", shown(&session.service, SHOWN_CHARACTERS));
    }
    for reason in judge.explain(session) {
        writeln!(out, "    {}", in_words(&reason, &of, judge.on_itself))?;
    }
    Ok(())
}

/// `of`: with how many sessions it is compared, and of which service where not with all.
fn in_words(reason: &Reason, of: &(String, String), on_itself: bool) -> String {
    let text = shown(&reason.word, SHOWN_CHARACTERS);
    let others = reason.seen.saturating_sub(u64::from(on_itself));
    let (of, service) = of;
    match reason.kind {
        ReasonKind::MissingEvent => {
            format!("lacks '{text}', which {} of {of} sessions{service} have", thousands(reason.seen))
        }
        _ if others == 0 => format!("'{text}' in no other session{service}"),
        _ => format!("'{text}' in {} of {of} other sessions{service}", thousands(others)),
    }
}
