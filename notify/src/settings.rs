//! The settings of the sinks: which there are, how each is reached and what it hears of. Reads no environment: the
//! values are passed in as they were written.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use engine::alert::Audience;
use reqwest::header::{HeaderName, HeaderValue};

use crate::{Body, secret_key};

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One setting, for tables and help.
#[derive(Debug)]
pub struct Setting {
    /// Name in capitals.
    pub name: &'static str,
    /// Value where nothing is given; empty means unset.
    pub default: &'static str,
    /// What is allowed, with the unit.
    pub allowed: &'static str,
    /// What it does, one sentence.
    pub doc: &'static str,
    /// Its value is never printed.
    pub secret: bool,
    /// A list whose items are lines, because they may hold commas.
    pub lines: bool,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    allowed: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, default, allowed, doc, secret: false, lines: false }
}

impl Setting {
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn lines(mut self) -> Self {
        self.lines = true;
        self
    }
}

/// Every setting of the sinks.
#[rustfmt::skip]
pub const ALL: &[Setting] = &[
    setting("ALERT_WEBHOOK_URL", "", "an http or https URL", "Sink `webhook`: gets a POST for each change of an alert.").secret(),
    setting("ALERT_WEBHOOK_BODY", "alert", "`alert`, `cloudevents` or `summary`", "Body of the webhook: the alert record, the record as a CloudEvent 1.0, or severity, count and details alone."),
    setting("ALERT_WEBHOOK_HEADERS", "", "lines of NAME: VALUE (an array in the file)", "Further headers of the webhook.").secret().lines(),
    setting("ALERT_WEBHOOK_SECRET", "", "base64 of 24 to 64 bytes, behind `whsec_` or not", "Signs each webhook in the Standard Webhooks form (HMAC-SHA256).").secret(),
    setting("SLACK_WEBHOOK_URL", "", "an http or https URL", "Sink `slack`: an incoming webhook of Slack.").secret(),
    setting("PAGERDUTY_ROUTING_KEY", "", "the integration key of an Events API v2 integration, 32 letters and digits", "Sink `pagerduty`: one incident for each alert.").secret(),
    setting("PAGERDUTY_URL", "https://events.pagerduty.com/v2/enqueue", "an http or https URL", "Address of PagerDuty's Events API v2; another one for the EU region."),
    setting("ALERTMANAGER_URL", "", "an http or https URL", "Sink `alertmanager`: base address of an Alertmanager, API v2.").secret(),
    setting("ELASTICSEARCH_URL", "", "an http or https URL", "Sink `elasticsearch`: base address of an Elasticsearch or OpenSearch, bulk API.").secret(),
    setting("ELASTICSEARCH_INDEX", "isolog-alerts", "1 to 255 bytes, lower case, without white space and any of `\\/*?\"<>|,#:`, not beginning with `-`, `_` or `+`", "Index or data stream of the alerts."),
    setting("ELASTICSEARCH_AUTHORIZATION", "", "the value of an Authorization header, such as `ApiKey …`", "How the scorer signs in at ELASTICSEARCH_URL.").secret(),
    setting("SMTP_URL", "", "smtp://USER:PASSWORD@HOST:587?tls=required, smtps://… or smtp://HOST:25", "Sink `email`: the mail server; needs SMTP_FROM and SMTP_TO.").secret(),
    setting("SMTP_FROM", "", "an e-mail address", "Sender of the mails."),
    setting("SMTP_TO", "", "a comma list of e-mail addresses", "Receivers of the mails."),
    setting("SINK_ROUTES", "", "lines of SINK KEY=VALUE … (an array in the file); keys: severity, services, detectors, resolved", "Which alerts a sink hears of, such as `slack severity=error services=auth,billing resolved=true`; without a line: warning and above, all services and detectors, ends only to pagerduty, alertmanager and elasticsearch.").lines(),
    setting("SINK_TIMEOUT_S", "10", "1 to 120 s", "Longest time that one delivery may take."),
    setting("SINK_RETRY_FOR_S", "86400", "1 to 604800 s", "How long one alert is tried at a sink that cannot take it before it becomes a dead letter of that sink."),
    setting("PUBLIC_URL", "", "an http or https URL", "Address at which people reach the pages; makes links back to an alert."),
];

/// Names of all sinks, in the order of the documentation.
pub const NAMES: [&str; 6] = ["webhook", "slack", "pagerduty", "alertmanager", "elasticsearch", "email"];
/// Those that hear of ends unless told otherwise.
const HEAR_ENDS: [&str; 3] = ["pagerduty", "alertmanager", "elasticsearch"];

/// What one kind of sink needs.
#[derive(Clone, Debug)]
pub enum SinkKind {
    /// Any HTTP receiver.
    Webhook {
        /// Address.
        url: Secret,
        /// What the body holds.
        body: Body,
        /// Further headers.
        headers: Vec<(String, Secret)>,
        /// Key of the signature.
        secret: Option<Secret>,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// Address.
        url: Secret,
    },
    /// PagerDuty's Events API v2.
    PagerDuty {
        /// Address.
        url: String,
        /// Integration key.
        routing_key: Secret,
    },
    /// An Alertmanager.
    Alertmanager {
        /// Base address; may hold user and password.
        url: Secret,
    },
    /// Elasticsearch or OpenSearch.
    Elasticsearch {
        /// Base address; may hold user and password.
        url: Secret,
        /// Index or data stream.
        index: String,
        /// Value of the `Authorization` header.
        authorization: Option<Secret>,
    },
    /// A mail server.
    Email {
        /// Address with user and password.
        url: Secret,
        /// Sender.
        from: String,
        /// Receivers.
        to: Vec<String>,
    },
}

/// One sink.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// What it hears of; its name is the sink's.
    pub audience: Audience,
    /// How it is reached.
    pub kind: SinkKind,
}

/// All sinks.
#[derive(Clone, Debug)]
pub struct SinksSettings {
    /// Those that are set.
    pub all: Vec<SinkSettings>,
    /// Longest time of one delivery.
    pub timeout: Duration,
    /// How long one alert is tried.
    pub retry_for: Duration,
    /// Where people reach the pages, without a slash at its end.
    pub public_url: Option<String>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its name.
    pub name: &'static str,
    /// What is wrong and what is allowed; never the value of a secret.
    pub why: String,
}

struct Reader<'a> {
    written: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    /// What was written, else the default, without white space around it; `None` where that is empty.
    fn text(&self, name: &str) -> Option<String> {
        let setting = ALL.iter().find(|setting| setting.name == name);
        let given = (self.written)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        given.or_else(|| setting.map(|setting| setting.default.to_owned())).filter(|text| !text.is_empty())
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret)
    }

    fn mistake(&mut self, name: &'static str, why: &str) {
        let allowed = ALL.iter().find(|setting| setting.name == name).map_or("", |setting| setting.allowed);
        self.mistakes.push(Mistake { name, why: format!("{why}; allowed: {allowed}") });
    }

    fn url(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name)?;
        let is_http = text.starts_with("https://") || text.starts_with("http://");
        if !is_http || !reqwest::Url::parse(&text).is_ok_and(|url| url.has_host()) {
            self.mistake(name, "is no such address");
        }
        Some(text)
    }

    fn webhook(&mut self) -> Option<SinkKind> {
        let body = match self.text("ALERT_WEBHOOK_BODY").as_deref() {
            None | Some("alert") => Body::Alert,
            Some("cloudevents") => Body::CloudEvents,
            Some("summary") => Body::Summary,
            Some(other) => {
                let why = format!("{other:?} is none");
                self.mistake("ALERT_WEBHOOK_BODY", &why);
                Body::Alert
            }
        };
        let secret = self.secret("ALERT_WEBHOOK_SECRET");
        if let Some(Err(why)) = secret.as_ref().map(|secret| secret_key(secret.expose())) {
            self.mistake("ALERT_WEBHOOK_SECRET", &why);
        }
        let mut headers = Vec::new();
        for line in self.text("ALERT_WEBHOOK_HEADERS").unwrap_or_default().lines() {
            match line.split_once(':') {
                Some((name, value)) if is_header(name.trim(), value.trim()) => {
                    headers.push((name.trim().to_ascii_lowercase(), Secret(value.trim().to_owned())));
                }
                _ if line.trim().is_empty() => {}
                _ => self.mistake("ALERT_WEBHOOK_HEADERS", "a line is not NAME: VALUE"),
            }
        }
        let url = self.url("ALERT_WEBHOOK_URL").map(Secret)?;
        Some(SinkKind::Webhook { url, body, headers, secret })
    }

    fn elasticsearch(&mut self) -> Option<SinkKind> {
        let index = self.text("ELASTICSEARCH_INDEX").unwrap_or_default();
        if !is_index(&index) {
            let why = format!("{index:?} is no index");
            self.mistake("ELASTICSEARCH_INDEX", &why);
        }
        let authorization = self.secret("ELASTICSEARCH_AUTHORIZATION");
        let is_header = |value: &Secret| value.expose().contains(' ') && is_header("x", value.expose());
        if authorization.as_ref().is_some_and(|value| !is_header(value)) {
            self.mistake("ELASTICSEARCH_AUTHORIZATION", "is not a scheme and what it takes");
        }
        let url = self.url("ELASTICSEARCH_URL").map(Secret)?;
        Some(SinkKind::Elasticsearch { url, index, authorization })
    }

    fn email(&mut self) -> Option<SinkKind> {
        let (from, to) = (self.addresses("SMTP_FROM"), self.addresses("SMTP_TO"));
        let url = self.text("SMTP_URL")?;
        for (name, given) in [("SMTP_FROM", &from), ("SMTP_TO", &to)] {
            if given.is_empty() {
                self.mistake(name, "SMTP_URL needs it too");
            }
        }
        if from.len() > 1 {
            self.mistake("SMTP_FROM", "are several");
        }
        let from = from.into_iter().next().unwrap_or_default();
        if let Err(why) = crate::email::builder(&url) {
            self.mistake("SMTP_URL", &why);
        }
        Some(SinkKind::Email { url: Secret(url), from, to })
    }

    fn addresses(&mut self, name: &'static str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let addresses = text.split(',').map(str::trim).filter(|address| !address.is_empty());
        let addresses: Vec<String> = addresses.map(str::to_owned).collect();
        for address in &addresses {
            if let Err(why) = crate::email::mailbox(address) {
                self.mistake(name, &why);
            }
        }
        addresses
    }

    fn kinds(&mut self) -> Vec<(&'static str, SinkKind)> {
        let webhook = self.webhook();
        let slack = self.url("SLACK_WEBHOOK_URL").map(|url| SinkKind::Slack { url: Secret(url) });
        let url = self.url("PAGERDUTY_URL").unwrap_or_default();
        let key = self.secret("PAGERDUTY_ROUTING_KEY");
        let is_key = |key: &Secret| {
            key.expose().len() == 32 && key.expose().bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if key.as_ref().is_some_and(|key| !is_key(key)) {
            self.mistake("PAGERDUTY_ROUTING_KEY", "is no such key");
        }
        let pagerduty = key.map(|routing_key| SinkKind::PagerDuty { url, routing_key });
        let alertmanager =
            self.url("ALERTMANAGER_URL").map(|url| SinkKind::Alertmanager { url: Secret(url) });
        let (elasticsearch, email) = (self.elasticsearch(), self.email());
        let kinds = [webhook, slack, pagerduty, alertmanager, elasticsearch, email];
        NAMES.into_iter().zip(kinds).filter_map(|(name, kind)| Some((name, kind?))).collect()
    }

    fn routes(&mut self, kinds: &[(&'static str, SinkKind)]) -> Vec<Audience> {
        let mut routes: Vec<Audience> = Vec::new();
        for line in self.text("SINK_ROUTES").unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next() else { continue };
            let mut audience = default_audience(name);
            let fault = if !NAMES.contains(&name) {
                Some(format!("{name:?} is not a sink, there are {}", NAMES.join(", ")))
            } else if routes.iter().any(|route| route.name == name) {
                Some(format!("{name} has two lines"))
            } else if !kinds.iter().any(|(kind, _)| *kind == name) {
                Some(format!("the sink {name} is not set"))
            } else {
                words.find_map(|word| route_word(&mut audience, word).err())
            };
            match fault {
                Some(fault) => self.mistake("SINK_ROUTES", &fault),
                None => routes.push(audience),
            }
        }
        routes
    }

    fn seconds(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Duration {
        let text = self.text(name).unwrap_or_default();
        let seconds = text.parse::<u64>().ok().filter(|seconds| range.contains(seconds));
        if seconds.is_none() {
            self.mistake(name, &format!("{text:?} is none"));
        }
        Duration::from_secs(seconds.unwrap_or(*range.start()))
    }
}

/// Reads all of them; `written` gives a setting's text by its name, `None` where it was not given.
///
/// # Errors
/// All mistakes at once.
pub fn read(written: &dyn Fn(&str) -> Option<String>) -> Result<SinksSettings, Vec<Mistake>> {
    let mut reader = Reader { written, mistakes: Vec::new() };
    let kinds = reader.kinds();
    let routes = reader.routes(&kinds);
    let all = kinds
        .into_iter()
        .map(|(name, kind)| {
            let route = routes.iter().find(|audience| audience.name == name).cloned();
            SinkSettings { audience: route.unwrap_or_else(|| default_audience(name)), kind }
        })
        .collect();
    let timeout = reader.seconds("SINK_TIMEOUT_S", 1..=120);
    let retry_for = reader.seconds("SINK_RETRY_FOR_S", 1..=604_800);
    let public_url = reader.url("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned());
    if reader.mistakes.is_empty() {
        Ok(SinksSettings { all, timeout, retry_for, public_url })
    } else {
        Err(reader.mistakes)
    }
}

fn default_audience(name: &str) -> Audience {
    Audience { send_resolved: HEAR_ENDS.contains(&name), ..Audience::new(name) }
}

/// As <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create> has it.
fn is_index(name: &str) -> bool {
    let taken = |char: char| char.is_uppercase() || char.is_whitespace() || "\\/*?\"<>|,#:".contains(char);
    (1..=255).contains(&name.len()) && !name.starts_with(['-', '_', '+']) && !name.contains(taken)
}

fn is_header(name: &str, value: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
}

fn route_word(audience: &mut Audience, word: &str) -> Result<(), String> {
    let Some((key, text)) = word.split_once('=') else { return Err(format!("{word:?} is not KEY=VALUE")) };
    let list = || text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
    match key {
        "severity" => audience.least_severity = text.parse()?,
        "services" => audience.services = list(),
        "detectors" => audience.detectors = list(),
        "resolved" => {
            audience.send_resolved =
                text.parse().map_err(|_| format!("{word:?} is neither true nor false"))?;
        }
        _ => return Err(format!("{key:?} is not one of severity, services, detectors, resolved")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Severity;

    fn given(pairs: &[(&str, &str)]) -> Result<SinksSettings, Vec<Mistake>> {
        let find =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned());
        read(&find)
    }

    #[test]
    fn nothing_set_is_no_sink() {
        let settings = given(&[]).unwrap();
        assert!(settings.all.is_empty());
        assert_eq!(settings.timeout, Duration::from_secs(10));
    }

    #[test]
    fn a_sink_is_there_once_its_address_is() {
        let settings = given(&[
            ("SLACK_WEBHOOK_URL", "https://hooks.example/x"),
            ("PAGERDUTY_ROUTING_KEY", "0123456789abcdef0123456789ABCDEF"),
            ("SINK_ROUTES", "slack severity=error services=a,b resolved=true"),
        ])
        .unwrap();
        let names: Vec<_> = settings.all.iter().map(|sink| sink.audience.name.as_str()).collect();
        assert_eq!(names, ["slack", "pagerduty"]);
        let slack = &settings.all[0].audience;
        assert_eq!((slack.least_severity, slack.send_resolved), (Severity::Error, true));
        assert_eq!(slack.services, ["a", "b"]);
        assert!(settings.all[1].audience.send_resolved);
    }

    #[rstest]
    #[case(&[("ALERT_WEBHOOK_URL", "ftp://x")], "ALERT_WEBHOOK_URL", "http or https")]
    #[case(&[("ALERT_WEBHOOK_SECRET", "short")], "ALERT_WEBHOOK_SECRET", "24 to 64")]
    #[case(&[("ALERT_WEBHOOK_HEADERS", "no colon")], "ALERT_WEBHOOK_HEADERS", "NAME: VALUE")]
    #[case(&[("SMTP_URL", "smtp://h"), ("SMTP_FROM", "a@b.example")], "SMTP_TO", "needs it")]
    #[case(&[("SINK_ROUTES", "slack severity=error")], "SINK_ROUTES", "not set")]
    #[case(&[("SINK_ROUTES", "pigeon severity=error")], "SINK_ROUTES", "not a sink")]
    #[case(&[("SLACK_WEBHOOK_URL", "https://x"), ("SINK_ROUTES", "slack severity=loud")], "SINK_ROUTES", "critical")]
    #[case(&[("SMTP_URL", "http://h")], "SMTP_URL", "smtp://")]
    #[case(&[("SMTP_TO", "a@b.example, nobody")], "SMTP_TO", "`nobody`")]
    #[case(&[("PAGERDUTY_ROUTING_KEY", "R0")], "PAGERDUTY_ROUTING_KEY", "32 letters")]
    #[case(&[("ELASTICSEARCH_AUTHORIZATION", "x")], "ELASTICSEARCH_AUTHORIZATION", "ApiKey")]
    #[case(&[("SINK_TIMEOUT_S", "0")], "SINK_TIMEOUT_S", "1 to 120")]
    fn a_mistake_names_the_setting_and_what_is_allowed(
        #[case] pairs: &[(&str, &str)],
        #[case] name: &str,
        #[case] part: &str,
    ) {
        let mistakes = given(pairs).unwrap_err();
        assert!(
            mistakes.iter().any(|mistake| mistake.name == name && mistake.why.contains(part)),
            "{mistakes:?}"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = given(&[("SLACK_WEBHOOK_URL", "https://hooks.example/topsecret")]).unwrap();
        assert!(!format!("{settings:?}").contains("topsecret"));
        let mistakes = given(&[("SLACK_WEBHOOK_URL", "topsecret")]).unwrap_err();
        assert!(!format!("{mistakes:?}").contains("topsecret"));
    }
}
