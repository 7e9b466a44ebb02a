//! Settings as they were written: flags over environment over file over defaults, each value with where it was
//! found. Judges no value.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Arg, ArgAction, ArgMatches, Command};

use engine::detect::{self, Rule};

use super::Mistake;
use super::table::{self, Group, Setting};
use crate::control::{WrittenNormal, WrittenSilence};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    Flag,
    /// In the environment.
    Environment,
    /// In the config file.
    File(PathBuf),
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("command line"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One value as written.
#[derive(Clone, Debug)]
pub struct Value {
    /// The text; lists joined by commas.
    pub text: String,
    /// Where it was found.
    pub place: Place,
}

/// All settings as written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// By setting name; only what was given.
    pub values: BTreeMap<&'static str, Value>,
    /// librdkafka properties, weakest place first.
    pub kafka: Vec<(String, Value)>,
    /// Detectors' settings of the config file.
    pub detectors: detect::Written,
    /// Detectors' settings of the environment: detector, setting, value.
    pub detect_variables: Vec<(String, String, Value)>,
    /// Rules of the config file.
    pub rules: Vec<Rule>,
    /// Silences of the config file.
    pub silences: Vec<WrittenSilence>,
    /// What the config file calls normal.
    pub normals: Vec<WrittenNormal>,
    /// The config file, where one was read.
    pub file: Option<PathBuf>,
}

/// Which groups of settings a command takes as flags.
pub trait Subset {
    /// The groups.
    const GROUPS: &'static [Group];
}

/// Every group.
#[derive(Clone, Debug)]
pub struct All;

impl Subset for All {
    const GROUPS: &'static [Group] = &Group::ALL;
}

/// What reading and scoring a file takes.
#[derive(Clone, Debug)]
pub struct Reading;

impl Subset for Reading {
    const GROUPS: &'static [Group] = &[Group::Decode, Group::Model];
}

/// What that takes, and reading what was kept.
#[derive(Clone, Debug)]
pub struct ReadingKept;

impl Subset for ReadingKept {
    const GROUPS: &'static [Group] = &[Group::Decode, Group::Model, Group::Store];
}

/// The settings that were given as flags, for a command to flatten into its arguments.
#[derive(Clone, Debug)]
pub struct Flags<S: Subset = All> {
    config_file: Option<PathBuf>,
    given: Vec<(&'static Setting, String)>,
    kafka: Vec<String>,
    subset: PhantomData<S>,
}

impl<S: Subset> Flags<S> {
    /// The same flags for a command that takes all groups.
    pub fn widen(self) -> Flags<All> {
        Flags { config_file: self.config_file, given: self.given, kafka: self.kafka, subset: PhantomData }
    }
}

const CONFIG_FILE: &str = "CONFIG_FILE";
const KAFKA_PROPERTY: &str = "KAFKA_PROPERTY";

impl<S: Subset> clap::FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = settings_of::<S>()
            .filter_map(|setting| Some((setting, matches.get_one::<String>(setting.name)?.clone())))
            .collect();
        let kafka = if S::GROUPS.contains(&Group::Kafka) {
            matches.get_many::<String>(KAFKA_PROPERTY).into_iter().flatten().cloned().collect()
        } else {
            Vec::new()
        };
        let config_file = matches.get_one::<PathBuf>(CONFIG_FILE).cloned();
        Ok(Self { config_file, given, kafka, subset: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<S: Subset> clap::Args for Flags<S> {
    fn augment_args(mut command: Command) -> Command {
        command = command.arg(
            Arg::new(CONFIG_FILE)
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("TOML file with settings; flags and environment win over it [env: CONFIG_FILE]"),
        );
        for setting in settings_of::<S>() {
            command = command.arg(flag_of(setting));
        }
        if S::GROUPS.contains(&Group::Kafka) {
            command = command.arg(
                Arg::new(KAFKA_PROPERTY)
                    .long("kafka-property")
                    .value_name("NAME=VALUE")
                    .action(ArgAction::Append)
                    .help_heading(Group::Kafka.title())
                    .help("Any librdkafka property, may be repeated [env: KAFKA_<NAME>, as KAFKA_SECURITY_PROTOCOL]"),
            );
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn settings_of<S: Subset>() -> impl Iterator<Item = &'static Setting> {
    table::ALL.iter().filter(|setting| S::GROUPS.contains(&setting.group))
}

fn flag_of(setting: &'static Setting) -> Arg {
    let default =
        if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let help = format!("{} Allowed: {}. [env: {}]{default}", setting.doc, setting.allowed, setting.name);
    let arg = Arg::new(setting.name)
        .overrides_with(setting.name)
        .long(long_of(setting))
        .help(help)
        .help_heading(setting.group.title());
    if setting.switch {
        arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg.value_name("VALUE").allow_hyphen_values(true)
    }
}

/// clap wants names that live as long as the process.
fn long_of(setting: &'static Setting) -> &'static str {
    static FLAGS: LazyLock<BTreeMap<&'static str, String>> =
        LazyLock::new(|| table::ALL.iter().map(|setting| (setting.name, setting.flag())).collect());
    FLAGS.get(setting.name).map_or(setting.name, String::as_str)
}

/// Lays the four places over each other. `environment` are the process's variables; an empty variable counts as
/// given, because it is how some settings are turned off.
pub fn collect(
    flags: Flags,
    environment: impl IntoIterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) -> Written {
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    let mut written = Written::default();
    let file = flags
        .config_file
        .clone()
        .or_else(|| environment.get(CONFIG_FILE).filter(|path| !path.is_empty()).map(PathBuf::from));
    if let Some(path) = file {
        match std::fs::read_to_string(&path) {
            Ok(text) => read_file(&path, &text, &mut written, mistakes),
            Err(error) => mistakes.push(Mistake {
                name: CONFIG_FILE.to_owned(),
                value: path.display().to_string(),
                place: Place::File(path),
                why: format!("cannot be read: {error}; allowed: a TOML file"),
            }),
        }
    }
    for (variable, text) in environment.clone() {
        let value = Value { text, place: Place::Environment };
        if let Some(setting) = table::find(&variable) {
            written.values.insert(setting.name, value);
        } else if let Some(secret) = secret_in_file(&variable) {
            let direct = variable.trim_end_matches("_FILE");
            if environment.contains_key(direct) {
                let why = format!("{direct} is given too; allowed: one of them");
                mistakes.push(Mistake { name: variable, value: value.text, place: value.place, why });
            } else {
                secret.read(variable, value, &mut written, mistakes);
            }
        } else if let Some((detector, name)) = detector_setting(&variable) {
            written.detect_variables.push((detector, name, value));
        } else if let Some(property) = kafka::property_of_variable(&variable) {
            written.kafka.push((property, value));
        }
    }
    for (setting, text) in flags.given {
        written.values.insert(setting.name, Value { text, place: Place::Flag });
    }
    for pair in flags.kafka {
        match pair.split_once('=') {
            Some((name, text)) => written
                .kafka
                .push((name.trim().to_owned(), Value { text: text.to_owned(), place: Place::Flag })),
            None => mistakes.push(Mistake {
                name: "--kafka-property".to_owned(),
                value: pair,
                place: Place::Flag,
                why: "allowed: NAME=VALUE, such as security.protocol=SASL_SSL".to_owned(),
            }),
        }
    }
    written
}

/// A secret whose file the environment names, as `HTTP_TOKEN_FILE` and `KAFKA_SASL_PASSWORD_FILE` do.
enum SecretInFile {
    Setting(&'static Setting),
    Kafka(String),
}

fn secret_in_file(variable: &str) -> Option<SecretInFile> {
    let direct = variable.strip_suffix("_FILE")?;
    if let Some(setting) = table::find(direct) {
        return setting.secret.then_some(SecretInFile::Setting(setting));
    }
    kafka::property_of_variable(direct).filter(|name| kafka::is_secret(name)).map(SecretInFile::Kafka)
}

impl SecretInFile {
    /// Takes the file's text without the line end at its end.
    fn read(self, variable: String, path: Value, written: &mut Written, mistakes: &mut Vec<Mistake>) {
        let text = match std::fs::read_to_string(&path.text) {
            Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
            Err(error) => {
                let why = format!("cannot be read: {error}; allowed: a file that holds the secret");
                mistakes.push(Mistake { name: variable, value: path.text, place: path.place, why });
                return;
            }
        };
        let value = Value { text, place: Place::File(path.text.into()) };
        match self {
            Self::Setting(setting) => {
                written.values.insert(setting.name, value);
            }
            Self::Kafka(property) => written.kafka.push((property, value)),
        }
    }
}

/// The detector and its setting that a variable such as `DETECT_ERROR_BURST_MORE_THAN` names.
fn detector_setting(variable: &str) -> Option<(String, String)> {
    let rest = variable.strip_prefix("DETECT_")?.to_ascii_lowercase();
    let named = detect::tables().filter_map(|(detector, _)| {
        let name = rest.strip_prefix(detector)?.strip_prefix('_')?;
        Some((detector.to_owned(), name.to_owned()))
    });
    // `volume` before what else begins with it.
    let known = named.max_by_key(|(detector, _)| detector.len());
    Some(known.unwrap_or_else(|| (rest, String::new())))
}

fn read_file(path: &Path, text: &str, written: &mut Written, mistakes: &mut Vec<Mistake>) {
    let place = Place::File(path.to_owned());
    let mut mistake = |name: &str, value: String, why: String| {
        mistakes.push(Mistake { name: name.to_owned(), value, place: place.clone(), why });
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            // Only where and what: the line itself may hold a password.
            let line = error
                .span()
                .map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
            let why = format!("is not TOML, line {line}: {}", error.message());
            mistake(CONFIG_FILE, path.display().to_string(), why);
            return;
        }
    };
    written.file = Some(path.to_owned());
    for (key, value) in table {
        if key == "detect" {
            match value.clone().try_into() {
                Ok(detectors) => written.detectors = detectors,
                Err(error) => {
                    let why = format!(
                        "{}; allowed: [detect.NAME] and [detect.service.SERVICE.NAME], see docs/detectors.md",
                        error.message()
                    );
                    mistake("detect", short(&value), why);
                }
            }
            continue;
        }
        if key == "rule" {
            match value.clone().try_into() {
                Ok(rules) => written.rules = rules,
                Err(error) => {
                    let why = format!("{}; allowed: [[rule]] as in docs/detectors.md", error.message());
                    mistake("rule", short(&value), why);
                }
            }
            continue;
        }
        if key == "silence" {
            match value.clone().try_into() {
                Ok(silences) => written.silences = silences,
                Err(error) => {
                    let why = format!("{}; allowed: [[silence]] as in docs/silences.md", error.message());
                    mistake("silence", short(&value), why);
                }
            }
            continue;
        }
        if key == "normal" {
            match value.clone().try_into() {
                Ok(normals) => written.normals = normals,
                Err(error) => {
                    let why = format!("{}; allowed: [[normal]] as in docs/silences.md", error.message());
                    mistake("normal", short(&value), why);
                }
            }
            continue;
        }
        if key == "kafka" {
            match value {
                toml::Value::Table(properties) => {
                    read_kafka("", properties, &place, &mut written.kafka, &mut mistake);
                }
                other => {
                    mistake("kafka", other.to_string(), "allowed: a table of librdkafka properties".into())
                }
            }
            continue;
        }
        let Some(setting) = table::ALL.iter().find(|setting| setting.key() == key) else {
            // What it holds is unknown too: it may be a secret under a name with a slip.
            mistake(&key, format!("a {}", value.type_str()), unknown_key(&key));
            continue;
        };
        match text_of(&value, if setting.lines { "\n" } else { "," }) {
            Some(text) => {
                written.values.insert(setting.name, Value { text, place: place.clone() });
            }
            None => mistake(setting.name, short(&value), format!("allowed: {}", setting.allowed)),
        }
    }
}

/// `security.protocol = "SSL"` in TOML is a table in a table: names are joined again.
fn read_kafka(
    prefix: &str,
    properties: toml::Table,
    place: &Place,
    out: &mut Vec<(String, Value)>,
    mistake: &mut impl FnMut(&str, String, String),
) {
    for (key, value) in properties {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => read_kafka(&name, inner, place, out, mistake),
            other => match text_of(&other, ",") {
                Some(text) => out.push((name, Value { text, place: place.clone() })),
                None => mistake(&name, short(&other), "allowed: a text, a number or a boolean".into()),
            },
        }
    }
}

fn text_of(value: &toml::Value, separator: &str) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| if item.is_array() { None } else { text_of(item, separator) })
                .collect();
            Some(texts?.join(separator))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn short(value: &toml::Value) -> String {
    value.to_string().chars().take(80).collect()
}

fn unknown_key(key: &str) -> String {
    let nearest = table::ALL
        .iter()
        .map(|setting| (distance(&setting.key(), &key.to_ascii_lowercase()), setting.key()))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, near)) => format!("is not a setting; did you mean {near}?"),
        None => "is not a setting; `scorer settings` lists them all".to_owned(),
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        for (j, y) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(x != *y);
            let above = row.get(j + 1).copied().unwrap_or_default();
            let left = if j == 0 { i + 1 } else { row.get(j).copied().unwrap_or_default() };
            diagonal = above;
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = substitution.min(above + 1).min(left + 1);
            }
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
