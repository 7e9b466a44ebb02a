//! `scorer silence`: makes, lists and ends silences.

use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Asked, Whom, api, short};
use crate::control::{ToldSilence, What, filter_of, until_of};

/// Arguments of `scorer silence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scorer silence 'service == \"billing\" && attributes.detector == \"volume\"' --minutes 120 --comment 'they move house'
  scorer silence --alert 5e0c7a9d1f22b3440000000000000001 --minutes 60
  scorer silence --list
  scorer silence --remove s-0123456789abcdef --url http://127.0.0.1:8080

A running scorer knows it within a second or two. Exit status: 0 done, 2 an error.")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["filter", "alert", "list", "remove"]))]
pub struct SilenceArgs {
    /// A filter expression over alerts: service, message, attributes.detector, attributes.severity, attributes.id
    filter: Option<String>,
    /// The service and the detector of this alert, in place of a filter
    #[arg(long, value_name = "ID")]
    alert: Option<String>,
    /// Lists those in force
    #[arg(long)]
    list: bool,
    /// Ends one
    #[arg(long, value_name = "ID")]
    remove: Option<String>,
    /// How long it lasts, 1 to 525600 minutes
    #[arg(long, value_name = "NUMBER", default_value_t = 60, conflicts_with_all = ["list", "remove"])]
    minutes: i64,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// Who is asked.
    #[command(flatten)]
    whom: Whom,
}

/// `scorer silence`.
///
/// # Errors
/// The settings cannot be used; who is asked does not answer or refuses.
pub fn run(args: SilenceArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args.whom)?;
    if let Some(id) = &args.remove {
        remove(&asked, id)?;
    } else if args.list {
        list(&asked)?;
    } else {
        let silence = match (&args.filter, &args.alert) {
            (Some(filter), _) => make(&asked, filter, args.minutes, args.comment)?,
            (None, alert) => {
                let alert = asked.newest(alert.as_deref().unwrap_or_default())?;
                make(&asked, &filter_of(&alert.service, &alert.detector), args.minutes, args.comment)?
            }
        };
        tell(&asked, "silence", &[silence])?;
    }
    Ok(ExitCode::SUCCESS)
}

fn make(asked: &Asked, filter: &str, minutes: i64, comment: String) -> anyhow::Result<ToldSilence> {
    let until = until_of(minutes, Timestamp::now()).map_err(anyhow::Error::msg)?;
    match &asked.api {
        Some(api) => {
            let wanted = json!({ "filter": filter, "minutes": minutes, "comment": comment });
            let made = api.change(reqwest::Method::POST, "/api/v1/silences", &wanted)?;
            Ok(serde_json::from_value(made)?)
        }
        None => {
            let decision = asked.decide(What::Silence { filter: filter.to_owned(), until }, comment)?;
            ToldSilence::of(&decision).ok_or_else(|| anyhow::anyhow!("what was made is no silence"))
        }
    }
}

fn remove(asked: &Asked, id: &str) -> anyhow::Result<()> {
    match &asked.api {
        Some(api) => {
            let path = format!("/api/v1/silences/{}", api::path_part(id));
            api.change(reqwest::Method::DELETE, &path, &Value::Null)?;
        }
        None => asked.control()?.remove(id)?,
    }
    if asked.json {
        return asked.print(&json!({ "id": id, "removed": true }));
    }
    say!("{id} is ended");
    Ok(())
}

fn list(asked: &Asked) -> anyhow::Result<()> {
    let silences: Vec<ToldSilence> = match &asked.api {
        Some(api) => serde_json::from_value(api.get("/api/v1/silences")?["silences"].take())?,
        None => {
            let view = asked.control_to_look()?.view();
            let view = view.as_ref().map(|view| view.silences(Timestamp::now()).filter_map(ToldSilence::of));
            view.into_iter().flatten().collect()
        }
    };
    tell(asked, "silences", &silences)
}

fn tell(asked: &Asked, name: &str, silences: &[ToldSilence]) -> anyhow::Result<()> {
    if asked.json {
        return asked.print(&match silences {
            [one] if name == "silence" => json!(one),
            all => json!({ name: all }),
        });
    }
    if silences.is_empty() {
        say!("no silence is in force");
    }
    for ToldSilence { id, filter, until, comment, created_by, .. } in silences {
        say!("{id}  until {until}  by {}  {}  {}", short(created_by), short(filter), short(comment));
    }
    Ok(())
}
