//! Web access events: what the shop's web server writes for each page, as JSON objects with the fields
//! `timestamp` (epoch seconds), `ip`, `method`, `url`, `status` and `service`.

use engine::event::Level;
use rand::Rng;

use crate::values::pick;

/// The service that access events belong to.
pub(crate) const SERVICE: &str = "web";

/// One request as the web server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Client address.
    pub ip: String,
    /// HTTP method.
    pub method: &'static str,
    /// Path and query.
    pub url: String,
    /// HTTP status, 100–599.
    pub status: u16,
}

impl Access {
    /// The line as a person reads it: method, URL and status.
    pub fn message(&self) -> String {
        format!("{} {} {}", self.method, self.url, self.status)
    }

    /// ERROR for 5xx, WARN for 4xx, else INFO.
    pub fn level(&self) -> Level {
        match self.status {
            500.. => Level::Error,
            400..=499 => Level::Warn,
            _ => Level::Info,
        }
    }
}

const PAGES: &[&str] = &[
    "/",
    "/index.html",
    "/cart",
    "/checkout",
    "/login",
    "/account/orders",
    "/static/app.js",
    "/static/app.css",
    "/static/logo.svg",
    "/favicon.ico",
    "/help/shipping",
    "/help/returns",
];
const CATEGORIES: &[&str] = &["books", "garden", "kitchen", "toys", "shoes", "audio"];
const PROBES: &[(&str, &str)] = &[
    ("GET", "/../../../../etc/passwd"),
    ("GET", "/wp-admin/setup-config.php?step=1"),
    ("GET", "/.env"),
    ("GET", "/.git/config"),
    ("POST", "/cgi-bin/luci/;stok=/locale?form=country&operation=write&country=$(id)"),
    ("GET", "/products?id=1%27%20UNION%20SELECT%20card,cvv%20FROM%20cards--"),
    ("TRACE", "/"),
    ("PROPFIND", "/webdav/"),
    ("GET", "/actuator/heapdump"),
    ("GET", "/search?q=%3Cscript%3Ealert(document.cookie)%3C/script%3E"),
    ("POST", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"),
    ("CONNECT", "internal-ledger.local:5432"),
];

/// An ordinary request; `fails` makes it one that the server could not answer.
pub(crate) fn ordinary(ip: &str, fails: bool, rng: &mut impl Rng) -> Access {
    let url = match rng.gen_range(0..10) {
        0..=4 => pick(rng, PAGES).to_owned(),
        5..=6 => format!("/category/{}?page={}", pick(rng, CATEGORIES), rng.gen_range(1..9)),
        _ => format!("/product/{}", rng.gen_range(100..4_000)),
    };
    let method = if url == "/login" || url == "/checkout" { "POST" } else { "GET" };
    let status = match (fails, rng.gen_range(0..100)) {
        (true, 0..=59) => 500,
        (true, _) => 503,
        (false, 0..=84) => 200,
        (false, 85..=94) => 304,
        (false, 95..=97) => 302,
        (false, _) => 404,
    };
    Access { ip: ip.to_owned(), method, url, status }
}

/// A request that looks for a way in.
pub(crate) fn suspicious(rng: &mut impl Rng) -> Access {
    let (method, url) = PROBES[rng.gen_range(0..PROBES.len())];
    let status = if rng.gen_bool(0.7) { 404 } else { 200 };
    // Addresses of the blocks that are set aside for documentation (RFC 5737).
    let ip = format!("203.0.113.{}", rng.gen_range(1..255));
    Access { ip, method, url: url.to_owned(), status }
}
