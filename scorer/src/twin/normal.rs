//! `scorer normal`: calls what an alert found normal, lists that, undoes it, exports it for the config file.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Asked, Whom, api, short};
use crate::control::{ToldNormal, What, export, of_alert};

/// Arguments of `scorer normal`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scorer normal 5e0c7a9d1f22b3440000000000000001 --comment 'the nightly job'
  scorer normal --list --json
  scorer normal --undo n-0123456789abcdef
  scorer normal --export >> isolog.toml

A running scorer knows it within a second or two. Exit status: 0 done, 2 an error.")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["alert", "list", "undo", "export"]))]
pub struct NormalArgs {
    /// The alert whose findings are normal
    alert: Option<String>,
    /// Lists what is normal
    #[arg(long)]
    list: bool,
    /// Undoes one
    #[arg(long, value_name = "ID")]
    undo: Option<String>,
    /// Prints sections for the config file
    #[arg(long, conflicts_with = "json")]
    export: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    comment: String,
    /// Who is asked.
    #[command(flatten)]
    whom: Whom,
}

/// `scorer normal`.
///
/// # Errors
/// The settings cannot be used; who is asked does not answer or refuses.
pub fn run(args: NormalArgs) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(args.whom)?;
    if let Some(id) = &args.undo {
        undo(&asked, id)?;
    } else if args.list {
        tell(&asked, "normals", &listed(&asked)?)?;
    } else if args.export {
        crate::tell::print(format_args!("{}", exported(&asked)?));
    } else {
        let called = call(&asked, args.alert.as_deref().unwrap_or_default(), args.comment)?;
        tell(&asked, "normal", &[called])?;
    }
    Ok(ExitCode::SUCCESS)
}

fn call(asked: &Asked, alert: &str, comment: String) -> anyhow::Result<ToldNormal> {
    match &asked.api {
        Some(api) => {
            let path = format!("/api/v1/alerts/{}/normal", api::path_part(alert));
            let called = api.change(reqwest::Method::POST, &path, &json!({ "comment": comment }))?;
            Ok(serde_json::from_value(called)?)
        }
        None => {
            let alert = asked.newest(alert)?;
            let what = What::Normal { normals: of_alert(&alert), alert: Some(alert.id) };
            let decision = asked.decide(what, comment)?;
            ToldNormal::of(&decision).ok_or_else(|| anyhow::anyhow!("what was called is a silence"))
        }
    }
}

fn undo(asked: &Asked, id: &str) -> anyhow::Result<()> {
    match &asked.api {
        Some(api) => {
            let path = format!("/api/v1/normals/{}", api::path_part(id));
            api.change(reqwest::Method::DELETE, &path, &Value::Null)?;
        }
        None => asked.control()?.remove(id)?,
    }
    if asked.json {
        return asked.print(&json!({ "id": id, "removed": true }));
    }
    say!("{id} is undone");
    Ok(())
}

fn listed(asked: &Asked) -> anyhow::Result<Vec<ToldNormal>> {
    match &asked.api {
        Some(api) => Ok(serde_json::from_value(api.get("/api/v1/normals")?["normals"].take())?),
        None => {
            let view = asked.control_to_look()?.view();
            Ok(view.iter().flat_map(|view| view.normals().filter_map(ToldNormal::of)).collect())
        }
    }
}

fn exported(asked: &Asked) -> anyhow::Result<String> {
    match &asked.api {
        Some(api) => api.text("/api/v1/normals/export"),
        None => {
            let view = asked.control()?.view();
            Ok(export(view.iter().flat_map(|view| view.normals()))?)
        }
    }
}

fn tell(asked: &Asked, name: &str, normals: &[ToldNormal]) -> anyhow::Result<()> {
    if asked.json {
        return asked.print(&match normals {
            [one] if name == "normal" => json!(one),
            all => json!({ name: all }),
        });
    }
    if normals.is_empty() {
        say!("nothing was called normal");
    }
    for ToldNormal { id, normals, comment, created_by, .. } in normals {
        say!("{id}  by {}  {}", short(created_by), short(comment));
        for normal in normals {
            let subject = if normal.subject.is_empty() { "(all)" } else { &normal.subject };
            say!("  {}  {}  {}", short(&normal.detector), short(&normal.service), short(subject));
        }
    }
    Ok(())
}
