//! The engine on one case: trained and scored by the same calls as `trainer` and `scorer` make, with their defaults.

use anyhow::{Context, Result};
use engine::event::LogEvent;
use engine::model::session::{Session, SessionKey, SessionReader, SessionSettings, SessionTrainer};
use engine::model::train::{CheckedTrainParams, FirstPass, TrainParams};
use engine::model::{Contamination, Provenance, Scratch};

use super::labelled::{Case, Labelled};
use super::{CONTAMINATION, Scored};

pub fn score(labelled: &Labelled, case: &Case, seed: u64) -> Result<Scored> {
    let params = TrainParams { seed, ..TrainParams::default() };
    let params = params.check().map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
    if labelled.by_session { sessions(labelled, case, params) } else { lines(labelled, case, params) }
}

fn lines(labelled: &Labelled, case: &Case, params: CheckedTrainParams) -> Result<Scored> {
    let training = labelled.lines_of(&case.train);
    let events: Vec<LogEvent> = training.iter().map(|line| labelled.events[*line].clone()).collect();
    let mut first = FirstPass::new(params);
    first.observe(&events);
    let mut second = first.grow()?;
    second.calibrate(&events);
    let model = second.finish(Provenance::default());
    let mut scratch = Scratch::default();
    let (mut rows, mut surprisal) = (Vec::new(), Vec::new());
    for unit in &case.test {
        let score = model.score(&labelled.events[labelled.units[*unit][0]], &mut scratch);
        rows.push((score.score, labelled.labels[*unit]));
        surprisal.push((score.surprisal, labelled.labels[*unit]));
    }
    Ok(Scored {
        rows,
        fixed: model.threshold(Contamination::Share(CONTAMINATION)).score,
        auto: Some(model.threshold(Contamination::Auto).score),
        surprisal: Some(surprisal),
    })
}

fn sessions(labelled: &Labelled, case: &Case, params: CheckedTrainParams) -> Result<Scored> {
    let key = SessionKey::parse("session")?;
    let mut reader = SessionReader::default();
    let mut whole = |unit: usize| {
        let mut session = Session::default();
        for line in &labelled.units[unit] {
            reader.add(&labelled.events[*line], &mut session);
        }
        session
    };
    let mut trainer = SessionTrainer::new(params, key, SessionSettings::default());
    case.train.iter().for_each(|unit| trainer.add(&whole(*unit)));
    let model = trainer.finish().context("fewer than two sessions to train on")?;
    let (mut rows, mut surprisal) = (Vec::new(), Vec::new());
    for unit in &case.test {
        let score = model.score(&whole(*unit));
        rows.push((score.score, labelled.labels[*unit]));
        surprisal.push((score.surprisal, labelled.labels[*unit]));
    }
    Ok(Scored {
        rows,
        fixed: model.threshold(Contamination::Share(CONTAMINATION)).score,
        auto: Some(model.threshold(Contamination::Auto).score),
        surprisal: Some(surprisal),
    })
}
