//! `scorer threshold`: what a score, a share or a number of lines a day comes to by the model's training lines.

use std::process::ExitCode;

use anyhow::bail;
use corpus::load_model;
use engine::model::Model;
use serde::Serialize;
use serde_json::json;

use crate::config::{Flags, Reading, Settings};
use crate::live::Loaded;

/// Shares that the table tells of.
const SHARES: [f64; 7] = [0.1, 0.05, 0.02, 0.01, 0.005, 0.001, 0.000_1];

/// Arguments of `scorer threshold`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scorer threshold
  scorer threshold --score 0.87
  scorer threshold --share 0.001 --json
  scorer threshold --per-day 20

A day is one at the rate of the training lines. Exit status: 0 told, 2 an error.")]
pub struct ThresholdArgs {
    /// What this score comes to, 0 to 1
    #[arg(long, value_name = "SCORE", conflicts_with_all = ["share", "per_day"])]
    score: Option<f64>,
    /// The score that this share of the lines exceeds, above 0 and up to 0.5
    #[arg(long, value_name = "SHARE", conflicts_with = "per_day")]
    share: Option<f64>,
    /// The score that so many lines a day exceed, above 0
    #[arg(long, value_name = "LINES")]
    per_day: Option<f64>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Settings.
    #[command(flatten)]
    settings: Flags<Reading>,
}

#[derive(Debug, Serialize)]
struct Row {
    score: f64,
    share: f64,
    lines_per_day: Option<f64>,
    setting: String,
}

/// `scorer threshold`.
///
/// # Errors
/// The settings or the model cannot be used; a number is out of range.
pub fn run(args: ThresholdArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(args.settings)?;
    let path = settings.model.path.clone();
    let loaded = Loaded::new(load_model(&path)?, &settings.model, Some(path));
    let model = &*loaded.model;
    let in_use = row(model, loaded.threshold.score);
    let rows = match (args.score, args.share, args.per_day) {
        (Some(score), ..) if (0.0..=1.0).contains(&score) => vec![row(model, score)],
        (Some(score), ..) => bail!("--score {score} is out of range; allowed: 0 to 1"),
        (_, Some(share), _) if share > 0.0 && share <= 0.5 => vec![of_share(model, share)],
        (_, Some(share), _) => bail!("--share {share} is out of range; allowed: above 0 and up to 0.5"),
        (.., Some(per_day)) if per_day > 0.0 && per_day.is_finite() => {
            match model.threshold_for_budget(per_day) {
                Some(score) => vec![row(model, score)],
                None => bail!(
                    "the training lines span less than a minute, so a day is unknown; give --score or --share"
                ),
            }
        }
        (.., Some(per_day)) => bail!("--per-day {per_day} is out of range; allowed: above 0"),
        _ => SHARES.iter().map(|share| of_share(model, *share)).collect(),
    };
    if args.json {
        let told = json!({ "in_use": in_use, "source": loaded.threshold_source, "rows": rows });
        say!("{}", serde_json::to_string_pretty(&told)?);
        return Ok(ExitCode::SUCCESS);
    }
    say!("     score       share   lines a day");
    for row in &rows {
        say!("{}  {}", text(row), row.setting);
    }
    say!("{}  in use ({})", text(&in_use), loaded.threshold_source);
    Ok(ExitCode::SUCCESS)
}

fn of_share(model: &Model, share: f64) -> Row {
    row(model, model.threshold(engine::model::Contamination::Share(share)).score)
}

fn row(model: &Model, score: f64) -> Row {
    Row {
        score,
        share: model.share_above(score),
        lines_per_day: model.expected_per_day(score),
        setting: format!("ANOMALY_SCORE_THRESHOLD={score}"),
    }
}

fn text(row: &Row) -> String {
    let per_day = row.lines_per_day.map_or("unknown".to_owned(), |lines| format!("{lines:.1}"));
    format!("{:10.6}  {:8.4} %  {per_day:>12}", row.score, 100.0 * row.share)
}
