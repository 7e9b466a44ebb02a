//! `scorer alerts`: lists alerts, or tells one with its history.

use std::process::ExitCode;

use notify::AlertRecord;
use serde_json::json;
use store::AlertSearch;

use super::{Asked, Whom, short};

/// Arguments of `scorer alerts`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scorer alerts --status firing
  scorer alerts 5e0c7a9d1f22b3440000000000000001
  scorer alerts --url http://127.0.0.1:8080 --severity critical --json

Exit status: 0 told, 2 an error.")]
pub struct AlertsArgs {
    /// The id of one alert, which is told with its history
    id: Option<String>,
    /// Only these
    #[arg(long, value_parser = ["firing", "resolved", "muted"], conflicts_with = "id")]
    status: Option<String>,
    /// Only these
    #[arg(long, value_parser = ["info", "warning", "error", "critical"], conflicts_with = "id")]
    severity: Option<String>,
    /// Only those of this service
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    service: Option<String>,
    /// Most alerts, 1 to 500, the newest first
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Who is asked.
    #[command(flatten)]
    whom: Whom,
}

/// `scorer alerts`.
///
/// # Errors
/// The settings cannot be used; who is asked does not answer; there is no such alert.
pub fn run(args: AlertsArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args.whom)?;
    if let Some(id) = &args.id {
        let history = asked.alert(id)?;
        if asked.json {
            asked.print(&json!({ "history": history }))?;
        } else {
            one(&history);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let search = AlertSearch {
        status: args.status,
        severity: args.severity,
        service: args.service,
        text: String::new(),
    };
    let alerts = asked.alerts(&search, args.limit.into())?;
    if asked.json {
        asked.print(&json!({ "alerts": alerts }))?;
    } else if alerts.is_empty() {
        say!("no such alert");
    } else {
        alerts.iter().for_each(line);
    }
    Ok(ExitCode::SUCCESS)
}

fn line(alert: &AlertRecord) {
    let (id, status, seen) = (&alert.id, alert.status.as_str(), &alert.last_seen);
    say!("{id}  {seen}  {status:8}  {}", short(&alert.headline()));
}

fn one(history: &[AlertRecord]) {
    let Some(alert) = history.last() else { return };
    say!("{}\n", short(&alert.headline()));
    for (name, value) in alert.facts() {
        say!("{name:12} {}", short(&value));
    }
    say!("{:12} {}", "Id", alert.id);
    if let Some(link) = &alert.link {
        say!("{:12} {}", "Page", short(link));
    }
    list(
        "What was found",
        alert.parts.iter().map(|part| {
            format!("{} ({}, {} times): {}", part.detector, part.severity.as_str(), part.count, part.headline)
        }),
    );
    list("Reasons", alert.reasons.iter().cloned());
    list(
        "Lines",
        alert.evidence.iter().map(|line| {
            let level = line.level.as_deref().unwrap_or("-");
            format!("{}  {level}  {:.3}  {}", line.timestamp, line.score, line.message)
        }),
    );
    list(
        "History",
        history.iter().map(|record| {
            let told = if record.notify.is_empty() { "nobody".to_owned() } else { record.notify.join(", ") };
            format!(
                "{}  {:8}  {:8}  told: {told}",
                record.recorded_at.as_ref().unwrap_or(&record.last_seen),
                record.cause.as_str(),
                record.severity.as_str()
            )
        }),
    );
}

fn list(title: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        say!("\n{title}");
        items.for_each(|item| say!("  {}", short(&item)));
    }
}
