//! How records are read: limits, field names, a fixed shape, the zone of times without one.
//! Never reads the environment; programs fill it.

use memchr::memmem::Finder;
use regex::Regex;

use crate::event::Limits;
use crate::features::stable_hash;

/// Which names hold which part of a record. The first name of a list that a record has wins. A name in lower
/// case matches any case; a name with a capital letter matches exactly. Nested names are joined by dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldNames {
    /// When it happened.
    pub time: Vec<String>,
    /// Its severity, a word or a number.
    pub level: Vec<String>,
    /// Its severity as an OpenTelemetry number, 1–24.
    pub severity_number: Vec<String>,
    /// Who wrote it.
    pub service: Vec<String>,
    /// The text.
    pub message: Vec<String>,
    /// Objects, or texts that hold one, that wrap the record proper.
    pub unwrap: Vec<String>,
    /// Web access: the client's address.
    pub ip: Vec<String>,
    /// Web access: the request method.
    pub method: Vec<String>,
    /// Web access: the address asked for.
    pub url: Vec<String>,
    /// Web access: the HTTP status.
    pub status: Vec<String>,
}

impl Default for FieldNames {
    fn default() -> Self {
        Self {
            time: names("@timestamp timestamp time date eventTime ts datetime @t __REALTIME_TIMESTAMP"),
            level: names(
                "level log.level severity severity_text lvl severityText loglevel levelname level_name @l \
                 log.syslog.severity.name PRIORITY",
            ),
            severity_number: names("severity_number severityNumber"),
            service: names(
                "service.name service app application container_name job resource.service.name \
                 kubernetes.container_name kubernetes.container.name container.name service_name app_name appname \
                 programname syslog_identifier process.name _SYSTEMD_UNIT logger logger_name log.logger",
            ),
            message: names(
                "message msg log body payload short_message renderedmessage @m @mt event.original text \
                 error.message",
            ),
            unwrap: names("payload message"),
            ip: names("ip client_ip remote_addr clientip client.ip remote_ip source.ip"),
            method: names("method request_method http.method http.request.method verb"),
            url: names("url path uri request_uri http.url url.path url.original request.path"),
            status: names("status status_code http.status_code http.response.status_code response code"),
        }
    }
}

impl FieldNames {
    /// Whether a field of this name is part of an event, other than an attribute or a wrapping.
    pub fn hold(&self, name: &str) -> bool {
        let Self { time, level, severity_number, service, message, unwrap: _, ip, method, url, status } =
            self;
        [time, level, severity_number, service, message, ip, method, url, status]
            .into_iter()
            .any(|list| Names::new(list).rank(name).is_some())
    }
}

fn names(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

/// A shape of the user's own: a regular expression whose named groups are the fields.
#[derive(Clone, Debug)]
pub struct UserPattern(Regex);

/// Why a pattern of the user cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The expression itself is faulty.
    #[error("the pattern `{pattern}` is not a regular expression: {detail}")]
    Syntax {
        /// As it was given.
        pattern: String,
        /// What the parser says.
        detail: String,
    },
    /// No group has a name.
    #[error(
        "the pattern `{pattern}` has no named group; name at least one, \
         as in `(?P<timestamp>\\S+) (?P<level>\\w+) (?P<message>.*)`"
    )]
    NoNamedGroup {
        /// As it was given.
        pattern: String,
    },
}

impl UserPattern {
    /// Compiles a pattern; compiled size is bounded to 1 MiB.
    ///
    /// # Errors
    /// It is not a regular expression, is too large, or has no named group.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| {
            PatternError::Syntax { pattern: pattern.to_owned(), detail: error.to_string() }
        })?;
        if regex.capture_names().flatten().next().is_none() {
            return Err(PatternError::NoNamedGroup { pattern: pattern.to_owned() });
        }
        Ok(Self(regex))
    }

    /// Names of its groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }

    pub(super) fn regex(&self) -> &Regex {
        &self.0
    }
}

/// How records are read: limits, field names and, where it is known, the shape.
#[derive(Clone, Debug, Default)]
pub struct DecodeSettings {
    /// Bounds on one record.
    pub limits: Limits,
    /// Which names hold which part of a record.
    pub names: FieldNames,
    /// The name of the one shape to expect (see [`super::DECODERS`]); `None` finds it for each record.
    pub format: Option<String>,
    /// A shape of the user's own, tried before all others.
    pub pattern: Option<UserPattern>,
    /// Seconds east of UTC for times that are written without a zone (default 0).
    pub utc_offset_s: i32,
}

/// A list of names, ready to be looked up.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Each name, and whether it matches exactly.
    listed: Vec<(Box<str>, bool)>,
    /// The lengths that occur, one bit each, the last for all from 63 on.
    lengths: u64,
}

impl Names {
    fn new(list: &[String]) -> Self {
        let exact = |name: &String| name.bytes().any(|byte| byte.is_ascii_uppercase());
        Self {
            listed: list.iter().map(|name| (name.as_str().into(), exact(name))).collect(),
            lengths: list.iter().fold(0, |lengths, name| lengths | 1 << name.len().min(63)),
        }
    }

    /// The place of a field's name in the list.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        if self.lengths & 1 << name.len().min(63) == 0 {
            return None;
        }
        self.listed.iter().position(|(listed, exact)| {
            listed.len() == name.len()
                && if *exact { **listed == *name } else { listed.eq_ignore_ascii_case(name) }
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(|(name, _)| &**name)
    }
}

/// What a field of a flat record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Time,
    Level,
    Service,
    Message,
    SeverityNumber,
    Method,
    Url,
    Status,
}

impl Part {
    /// How many there are.
    pub const COUNT: usize = 8;
}

#[derive(Clone, Debug)]
struct PartName {
    name: Box<str>,
    exact: bool,
    part: Part,
    rank: u16,
}

/// All names that matter for a flat record, by length and ends: most other names miss at the first look.
#[derive(Clone, Debug)]
struct PartNames(Vec<Vec<PartName>>);

impl PartNames {
    const BUCKETS: usize = 128;

    fn new(lists: &[(Part, &Names)]) -> Self {
        let mut buckets = vec![Vec::new(); Self::BUCKETS];
        for (part, names) in lists {
            for (rank, (name, exact)) in names.listed.iter().enumerate() {
                let (name, exact) = (name.clone(), *exact);
                let bucket: &mut Vec<PartName> = &mut buckets[Self::bucket(&name)];
                bucket.push(PartName {
                    name,
                    exact,
                    part: *part,
                    rank: u16::try_from(rank).unwrap_or(u16::MAX),
                });
            }
        }
        Self(buckets)
    }

    fn bucket(name: &str) -> usize {
        let (first, last) = match name.as_bytes() {
            [] => (0, 0),
            [first, .., last] => (*first, *last),
            [only] => (*only, *only),
        };
        // Names that differ only in case are of one bucket.
        let mixed = name.len() * 31 + usize::from(first | 0x20) * 7 + usize::from(last | 0x20) * 3;
        mixed % Self::BUCKETS
    }
}

/// [`FieldNames`], ready to be looked up.
#[derive(Clone, Debug)]
pub(super) struct NameTable {
    pub time: Names,
    pub level: Names,
    pub severity_number: Names,
    pub service: Names,
    pub message: Names,
    pub unwrap: Names,
    pub method: Names,
    pub url: Names,
    pub status: Names,
    parts: PartNames,
    otlp: Finder<'static>,
    digest: u64,
}

impl NameTable {
    /// Whether the head of a record may be one of OTLP's.
    pub(super) fn is_otlp(&self, head: &[u8]) -> bool {
        self.otlp.find(head).is_some()
    }

    /// What a field of this name may be, with the name's rank in that list.
    pub(super) fn parts(&self, name: &str) -> impl Iterator<Item = (Part, u16)> {
        let same = move |listed: &&PartName| {
            listed.name.len() == name.len()
                && if listed.exact { *listed.name == *name } else { listed.name.eq_ignore_ascii_case(name) }
        };
        self.parts.0[PartNames::bucket(name)].iter().filter(same).map(|listed| (listed.part, listed.rank))
    }

    /// Whether a field of this name is inside of one that may wrap the record proper.
    pub(super) fn wraps(&self, name: &str) -> bool {
        // Most names are no longer than any that may wrap.
        let shorter = if name.len() < 63 { (1 << name.len()) - 1 } else { u64::MAX };
        self.unwrap.lengths & shorter != 0
            && self
                .unwrap
                .iter()
                .any(|wrapper| name.strip_prefix(wrapper).is_some_and(|rest| rest.starts_with('.')))
    }

    pub(super) fn new(names: &FieldNames) -> Self {
        let table = Self::without_parts(names);
        let lists = [
            (Part::Time, &table.time),
            (Part::Level, &table.level),
            (Part::Service, &table.service),
            (Part::Message, &table.message),
            (Part::SeverityNumber, &table.severity_number),
            (Part::Method, &table.method),
            (Part::Url, &table.url),
            (Part::Status, &table.status),
        ];
        // Lists are told apart by what no name can hold.
        let all = lists.iter().flat_map(|(_, names)| names.iter().chain(["\n"])).chain(table.unwrap.iter());
        let digest = all.fold(0, |digest, name| stable_hash(digest, name.as_bytes()));
        Self { parts: PartNames::new(&lists), digest, ..table.clone() }
    }

    /// Equal for tables of equal names.
    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    fn without_parts(names: &FieldNames) -> Self {
        Self {
            parts: PartNames::new(&[]),
            otlp: Finder::new(super::otlp::HEAD_MARK),
            digest: 0,
            time: Names::new(&names.time),
            level: Names::new(&names.level),
            severity_number: Names::new(&names.severity_number),
            service: Names::new(&names.service),
            message: Names::new(&names.message),
            unwrap: Names::new(&names.unwrap),
            method: Names::new(&names.method),
            url: Names::new(&names.url),
            status: Names::new(&names.status),
        }
    }
}
