//! What the shop's services say on an ordinary day: request flows, scheduled jobs, warnings and errors that
//! operators know. Holds no anomaly.

use engine::event::Level;

/// One line that a service writes while a request passes through it.
#[derive(Debug)]
pub(crate) struct Step {
    pub service: &'static str,
    pub level: Level,
    /// Wordings of equal right; one is drawn.
    pub says: &'static [&'static str],
    /// Typical duration of the step in milliseconds.
    pub typical_ms: u32,
}

/// Steps that one request takes, in order.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Relative frequency.
    pub weight: u32,
    pub steps: &'static [Step],
}

const fn info(service: &'static str, typical_ms: u32, says: &'static [&'static str]) -> Step {
    Step { service, level: Level::Info, says, typical_ms }
}

const fn debug(service: &'static str, typical_ms: u32, says: &'static [&'static str]) -> Step {
    Step { service, level: Level::Debug, says, typical_ms }
}

const SEARCH: &[Step] = &[
    info("api-gateway", 2, &["GET /api/search from {ip} user={user}"]),
    info(
        "search",
        35,
        &[
            "Query '{query}' returned {count} hits in {ms} ms",
            "Query '{query}' category={category} returned {count} hits in {ms} ms",
        ],
    ),
    debug(
        "catalog",
        8,
        &[
            "Loaded {count} product summaries from cache in {ms} ms",
            "Cache hit for category {category}, {count} entries",
        ],
    ),
    info("api-gateway", 3, &["GET /api/search completed 200 in {ms} ms, {bytes} bytes"]),
];

const PRODUCT: &[Step] = &[
    info("api-gateway", 2, &["GET /api/products/{sku} from {ip} user={user}"]),
    info("catalog", 14, &["Product {sku} loaded in {ms} ms", "Product {sku} served from cache"]),
    info(
        "recommendations",
        40,
        &[
            "Computed {n} recommendations for user {user} in {ms} ms",
            "Recommendations for {sku} served by model v12 in {ms} ms",
        ],
    ),
    debug("inventory", 9, &["Stock level of {sku} read from warehouse {warehouse}"]),
    info("api-gateway", 3, &["GET /api/products/{sku} completed 200 in {ms} ms, {bytes} bytes"]),
];

const LOGIN: &[Step] = &[
    info("api-gateway", 2, &["POST /api/login from {ip}"]),
    info(
        "auth",
        60,
        &["User {user} logged in from {ip}", "User {user} logged in from {ip} with second factor {channel}"],
    ),
    debug("users", 10, &["Profile of user {user} loaded in {ms} ms"]),
    info(
        "auth",
        5,
        &[
            "Session {session} opened for user {user}, expires in 3600 s",
            "Access token issued for user {user}, scope=shop",
        ],
    ),
    info("api-gateway", 3, &["POST /api/login completed 200 in {ms} ms, {bytes} bytes"]),
];

const CART: &[Step] = &[
    info("api-gateway", 2, &["PUT /api/cart/items from {ip} user={user}"]),
    info(
        "cart",
        12,
        &[
            "Added {n} x {sku} to cart of user {user}",
            "Cart of user {user} updated, total {amount} {currency}",
        ],
    ),
    info(
        "inventory",
        15,
        &[
            "Reserved {n} units of {sku} in warehouse {warehouse}",
            "Availability of {sku} confirmed in {ms} ms",
        ],
    ),
    info("api-gateway", 3, &["PUT /api/cart/items completed 200 in {ms} ms, {bytes} bytes"]),
];

const CHECKOUT: &[Step] = &[
    info("api-gateway", 2, &["POST /api/orders from {ip} user={user}"]),
    debug("auth", 6, &["Token of user {user} verified in {ms} ms"]),
    info("orders", 25, &["Order {order} created for user {user}, {n} items, total {amount} {currency}"]),
    info("inventory", 18, &["Reserved {n} units of {sku} for order {order} in warehouse {warehouse}"]),
    info(
        "payments",
        220,
        &["Charged {amount} {currency} to card ending {card} for order {order} via {provider} in {ms} ms"],
    ),
    info("billing_api", 45, &["Invoice {invoice} issued for order {order}, amount {amount} {currency}"]),
    debug("billing_api", 8, &["Ledger entry written to {db} in {ms} ms"]),
    info("orders", 12, &["Order {order} confirmed", "Order {order} moved to state PAID"]),
    info("shipping", 55, &["Shipment of order {order} booked with {carrier}, tracking {tracking}"]),
    info("notifications", 30, &["Sent {mail_template} by {channel} to user {user}"]),
    info("api-gateway", 3, &["POST /api/orders completed 201 in {ms} ms, {bytes} bytes"]),
];

const ORDER_STATUS: &[Step] = &[
    info("api-gateway", 2, &["GET /api/orders/{order} from {ip} user={user}"]),
    info("orders", 16, &["Order {order} read by user {user} in {ms} ms"]),
    info(
        "shipping",
        48,
        &[
            "Tracking {tracking} of order {order}: in transit with {carrier}",
            "Tracking {tracking} of order {order}: delivered",
        ],
    ),
    info("api-gateway", 3, &["GET /api/orders/{order} completed 200 in {ms} ms, {bytes} bytes"]),
];

const REFUND: &[Step] = &[
    info("api-gateway", 2, &["POST /api/orders/{order}/refund from {ip} user={user}"]),
    info("payments", 180, &["Refunded {amount} {currency} for order {order} via {provider} in {ms} ms"]),
    info("billing_api", 40, &["Credit note {invoice} issued for order {order}, amount {amount} {currency}"]),
    info("notifications", 30, &["Sent {mail_template} by {channel} to user {user}"]),
    info("api-gateway", 3, &["POST /api/orders/{order}/refund completed 200 in {ms} ms, {bytes} bytes"]),
];

const JOB_INVOICES: &[Step] = &[
    info("billing_api", 10, &["Invoice run started, {count} orders due"]),
    info(
        "billing_api",
        900,
        &[
            "Invoice run finished, {count} invoices in {ms} ms",
            "Exported {count} ledger entries to {db} in {ms} ms",
        ],
    ),
];

const JOB_INDEX: &[Step] = &[
    info("search", 10, &["Index refresh started"]),
    info("search", 1500, &["Index refresh finished, {count} documents in {ms} ms"]),
];

const JOB_STOCK: &[Step] = &[
    info("inventory", 400, &["Stock of warehouse {warehouse} synchronised, {count} changes in {ms} ms"]),
    debug("inventory", 5, &["Consumed {count} records from {topic}-{partition} up to offset {offset}"]),
];

const JOB_SESSIONS: &[Step] = &[info("auth", 70, &["Removed {count} expired sessions in {ms} ms"])];

const JOB_HEALTH: &[Step] = &[
    debug("api-gateway", 2, &["Health check of {host} ok in {ms} ms"]),
    debug("payments", 20, &["Heartbeat to {provider} ok in {ms} ms"]),
    debug("users", 2, &["Connection pool of {db}: {percent}% in use"]),
    debug("notifications", 4, &["Queue {topic} drained, {count} messages"]),
];

/// Every ordinary flow. The weights put checkouts well under visits, as in a real shop.
pub(crate) const FLOWS: &[Flow] = &[
    Flow { weight: 26, steps: SEARCH },
    Flow { weight: 24, steps: PRODUCT },
    Flow { weight: 10, steps: LOGIN },
    Flow { weight: 12, steps: CART },
    Flow { weight: 10, steps: CHECKOUT },
    Flow { weight: 8, steps: ORDER_STATUS },
    Flow { weight: 2, steps: REFUND },
    Flow { weight: 1, steps: JOB_INVOICES },
    Flow { weight: 1, steps: JOB_INDEX },
    Flow { weight: 3, steps: JOB_STOCK },
    Flow { weight: 1, steps: JOB_SESSIONS },
    Flow { weight: 4, steps: JOB_HEALTH },
];

/// A service and the troubles that its operators know.
#[derive(Debug)]
pub(crate) struct Service {
    pub name: &'static str,
    pub warnings: &'static [&'static str],
    pub errors: &'static [&'static str],
}

/// Every service of the shop.
pub(crate) const SERVICES: &[Service] = &[
    Service {
        name: "api-gateway",
        warnings: &[
            "Slow response from {host}: {ms} ms",
            "Rate limit reached for {ip}, {count} requests in {seconds} s",
        ],
        errors: &[
            "Upstream {host} answered 502 after {ms} ms",
            "Request from {ip} timed out after {seconds} s",
        ],
    },
    Service {
        name: "orders",
        warnings: &[
            "Order {order} has waited {seconds} s for payment",
            "Retry {retry} of event to {topic} for order {order}",
        ],
        errors: &[
            "Order {order} failed: payment declined",
            "Order {order} failed: could not lock row in {db} within {seconds} s",
        ],
    },
    Service {
        name: "billing_api",
        warnings: &["Invoice {invoice} delayed, ledger busy", "Retry {retry} of ledger write to {db}"],
        errors: &[
            "Invoice {invoice} could not be issued: tax service timed out after {seconds} s",
            "Ledger write to {db} failed: connection reset",
            "Payment of order {order} not found in ledger",
        ],
    },
    Service {
        name: "auth",
        warnings: &[
            "Failed login for user {user} from {ip}, attempt {n}",
            "Token of user {user} expires in {seconds} s",
        ],
        errors: &[
            "Login of user {user} rejected: account locked",
            "Token verification failed: signature expired {seconds} s ago",
        ],
    },
    Service {
        name: "inventory",
        warnings: &[
            "Stock of {sku} low in warehouse {warehouse}: {n} left",
            "Warehouse {warehouse} answered slowly: {ms} ms",
        ],
        errors: &[
            "Reservation of {sku} failed: out of stock",
            "Warehouse {warehouse} unreachable after {retry} retries",
        ],
    },
    Service {
        name: "payments",
        warnings: &[
            "Provider {provider} answered slowly: {ms} ms",
            "Retry {retry} of charge for order {order} via {provider}",
        ],
        errors: &[
            "Charge of {amount} {currency} for order {order} declined by {provider}",
            "Provider {provider} timed out after {seconds} s for order {order}",
        ],
    },
    Service {
        name: "shipping",
        warnings: &[
            "Carrier {carrier} answered slowly: {ms} ms",
            "Address of user {user} incomplete, asked again",
        ],
        errors: &[
            "Booking with {carrier} failed for order {order}: service unavailable",
            "Label for {tracking} could not be printed",
        ],
    },
    Service {
        name: "notifications",
        warnings: &[
            "Queue {topic} holds {count} messages",
            "Retry {retry} of {mail_template} by {channel} to user {user}",
        ],
        errors: &[
            "Delivery of {mail_template} by {channel} to user {user} failed: mailbox full",
            "Provider of {channel} refused connection",
        ],
    },
    Service {
        name: "search",
        warnings: &["Query '{query}' took {ms} ms", "Replica on {host} lags {seconds} s"],
        errors: &[
            "Query '{query}' failed: shard {partition} not available",
            "Index refresh failed on {host}: retry in {seconds} s",
        ],
    },
    Service {
        name: "catalog",
        warnings: &["Cache miss rate at {percent}% for category {category}"],
        errors: &["Product {sku} not found", "Image of {sku} could not be loaded from {host}"],
    },
    Service {
        name: "cart",
        warnings: &["Cart of user {user} changed by two sessions, kept the later one"],
        errors: &["Cart of user {user} could not be saved to {db}"],
    },
    Service {
        name: "recommendations",
        warnings: &["Model v12 answered slowly: {ms} ms, using popular items"],
        errors: &["No recommendations for user {user}: feature store timed out after {seconds} s"],
    },
    Service {
        name: "users",
        warnings: &["Profile of user {user} read from replica {host}"],
        errors: &["Profile of user {user} could not be read from {db}"],
    },
];

/// The service of that name, if there is one.
pub(crate) fn service(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}
