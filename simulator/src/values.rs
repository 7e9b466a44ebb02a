//! Values that fill the placeholders of message templates. Knows ordinary values only, never an anomaly's.

use std::fmt::Write as _;

use rand::Rng;

/// What the lines of one request have in common.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// Customer number.
    pub user: u32,
    /// Order number.
    pub order: u32,
    /// Stock keeping unit.
    pub sku: String,
    /// Amount in cents.
    pub cents: u32,
    /// Client address.
    pub ip: String,
}

const CATEGORIES: &[&str] = &["books", "garden", "kitchen", "toys", "shoes", "audio", "sports", "office"];
const WORDS: &[&str] = &[
    "lamp",
    "kettle",
    "running shoes",
    "notebook",
    "headphones",
    "desk",
    "tent",
    "bicycle",
    "puzzle",
    "jacket",
    "blender",
    "backpack",
    "camera",
    "printer paper",
    "rain boots",
    "coffee",
];
const CARRIERS: &[&str] = &["dhl", "ups", "fedex", "dpd", "gls"];
const WAREHOUSES: &[&str] = &["ams1", "fra2", "lyo1", "waw1"];
const PROVIDERS: &[&str] = &["stripe", "adyen", "paypal"];
const CHANNELS: &[&str] = &["email", "sms", "push"];
const TEMPLATES: &[&str] =
    &["order_confirmed", "order_shipped", "password_changed", "invoice_ready", "back_in_stock"];
const CURRENCIES: &[&str] = &["EUR", "EUR", "EUR", "USD", "GBP"];
const DATABASES: &[&str] = &["orders_db", "billing_db", "users_db", "stock_db"];
const TOPICS: &[&str] = &["order-events", "payment-events", "stock-events", "mail-jobs"];

/// One of a list's items.
pub(crate) fn pick<'a, T: ?Sized>(rng: &mut impl Rng, list: &[&'a T]) -> &'a T {
    list[rng.gen_range(0..list.len())]
}

/// A skewed duration in milliseconds: mostly near `typical`, seldom up to about ten times as long.
pub(crate) fn latency_ms(rng: &mut impl Rng, typical: u32) -> u32 {
    let (a, b): (f64, f64) = (rng.gen_range(0.0..1.0), rng.gen_range(0.0..1.0));
    let tail = if rng.gen_bool(0.03) { 6.0 * a } else { 0.0 };
    let factor = 0.5 + a * b * 2.0 + tail;
    ((f64::from(typical) * factor) as u32).max(1)
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(rng: &mut impl Rng, digits: usize) -> String {
    (0..digits).map(|_| char::from_digit(rng.gen_range(0..16), 16).unwrap_or('0')).collect()
}

impl Context {
    /// A new request of an ordinary customer.
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        let user = rng.gen_range(10_000..60_000);
        let sku = format!("SKU-{:05}", rng.gen_range(100..4_000));
        // Most baskets are small; the square keeps dear ones rare without a cut-off in the middle.
        let size: f64 = rng.gen_range(0.0..1.0);
        Self {
            trace_id: hex(rng, 32),
            user,
            order: rng.gen_range(500_000..900_000),
            sku,
            cents: 499 + (size * size * 40_000.0) as u32,
            ip: format!("10.{}.{}.{}", rng.gen_range(0..8), rng.gen_range(0..256), rng.gen_range(1..255)),
        }
    }
}

/// Fills the `{placeholders}` of a template; `ms` is the duration of the step that speaks.
pub(crate) fn expand(template: &str, context: &Context, ms: u32, rng: &mut impl Rng) -> String {
    let mut text = String::with_capacity(template.len() + 24);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|at| open + at) else { break };
        text.push_str(&rest[..open]);
        push_value(&mut text, &rest[open + 1..close], context, ms, rng);
        rest = &rest[close + 1..];
    }
    text.push_str(rest);
    text
}

fn push_value(text: &mut String, name: &str, context: &Context, ms: u32, rng: &mut impl Rng) {
    // Writing to a String cannot fail.
    let _ = match name {
        "user" => write!(text, "{}", context.user),
        "order" => write!(text, "ORD-{}", context.order),
        "sku" => write!(text, "{}", context.sku),
        "amount" => write!(text, "{}.{:02}", context.cents / 100, context.cents % 100),
        "currency" => write!(text, "{}", pick(rng, CURRENCIES)),
        "ip" => write!(text, "{}", context.ip),
        "ms" => write!(text, "{ms}"),
        "n" => write!(text, "{}", rng.gen_range(1..6)),
        "count" => write!(text, "{}", rng.gen_range(8..600)),
        "percent" => write!(text, "{}", rng.gen_range(55..90)),
        "category" => write!(text, "{}", pick(rng, CATEGORIES)),
        "query" => write!(text, "{}", pick(rng, WORDS)),
        "carrier" => write!(text, "{}", pick(rng, CARRIERS)),
        "warehouse" => write!(text, "{}", pick(rng, WAREHOUSES)),
        "provider" => write!(text, "{}", pick(rng, PROVIDERS)),
        "channel" => write!(text, "{}", pick(rng, CHANNELS)),
        "mail_template" => write!(text, "{}", pick(rng, TEMPLATES)),
        "db" => write!(text, "{}", pick(rng, DATABASES)),
        "topic" => write!(text, "{}", pick(rng, TOPICS)),
        "invoice" => write!(text, "INV-2026-{:06}", rng.gen_range(1..400_000)),
        "tracking" => write!(text, "TRK{:010}", rng.gen_range(0u64..10_000_000_000)),
        "card" => write!(text, "{:04}", rng.gen_range(0..10_000)),
        "host" => write!(text, "node-{:02}", rng.gen_range(1..13)),
        "seconds" => write!(text, "{}", pick(rng, &["5", "10", "30", "60"])),
        "retry" => write!(text, "{}", rng.gen_range(1..4)),
        "partition" => write!(text, "{}", rng.gen_range(0..12)),
        "offset" => write!(text, "{}", rng.gen_range(100_000..9_000_000)),
        "bytes" => write!(text, "{}", rng.gen_range(220..48_000)),
        "session" => write!(text, "{}", hex(rng, 12)),
        _ => write!(text, "{{{name}}}"),
    };
}
