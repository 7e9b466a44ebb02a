//! The documentation of all detectors, made from their list.

use std::fmt::Write as _;

use super::knobs::{Knob, Knobs, Stream};
use super::registry::REGISTRY;

const PREFACE: &str = "\
# Detectors

A detector reads scored lines and tells anomalies; anomalies of one service that belong together become one alert \
(see `docs/alerts.md`). Each detector can be turned off (`enabled = false`) and set for all services or for one:

```toml
[detect.error_burst]
more_than = 10

[detect.service.\"billing_api\".error_burst]
window_s = 10
```

**Time** is the lines' own. A service's windows are closed by its own newest line: a line that is up to `lateness_s` \
older than that still counts in its window, an older one is late: it is counted, and only judged by itself. What can \
only grow (a count) is told when it is exceeded; everything else when its window is complete. Windows of a service \
that falls silent are closed by the clock after `idle_s`. A line more than `future_s` ahead of the clock counts as \
if it happened now, so a wrong clock cannot close anything; while the input is behind, as if it happened with the newest \
line of its service, and where there is none it is left out. What passes between two ticks counts as silence for 3 s at \
most: a process that was stopped, or a clock that was set forward, heard nobody. When the clock is set back by more than \
5 s, services whose lines are ahead of it by more than `future_s` and 15 minutes begin anew; what is ahead by less keeps \
what it learnt, and until the clock is there again (20 minutes at most) its lines are late: judged by themselves, and in \
no window. The clock comes as ticks within the stream; the same lines and ticks give the same anomalies again.

**Baselines** belong to one service. Until one is there, a detector says what it still needs (\"warming up\"); they \
can be filled from history. At most `most_services` services have a state, further ones share that of `__other__`; \
the place of a service that has been silent for a day goes to the next one that asks for it.
";

/// The page `docs/detectors.md`.
pub fn page() -> String {
    let mut page = String::from("<!-- Made from engine/src/detect by its tests; change it there. -->\n");
    page.push_str(PREFACE);
    table(&mut page, "Settings of `[detect.stream]`", Stream::KNOBS);
    for entry in REGISTRY {
        let _ = write!(page, "\n## {}\n\n`{}`. {}\n", entry.title, entry.name, entry.doc);
        table(&mut page, &format!("Settings of `[detect.{}]`, beside `enabled`", entry.name), entry.knobs);
    }
    page
}

fn table(page: &mut String, title: &str, knobs: &[Knob]) {
    if knobs.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "\n{title}:\n\n| setting | default | allowed | unit | meaning |\n|---|---|---|---|---|\n"
    );
    for knob in knobs {
        let Knob { name, default, unit, least, most, doc } = knob;
        let _ = writeln!(page, "| `{name}` | {default} | {least} to {most} | {unit} | {} |", doc.trim());
    }
}

/// What a baseline lacks that needs `wanted_s` of history and has `there` microseconds.
pub(crate) fn still_needs(wanted_s: f64, there: i64) -> Option<String> {
    let lacking = wanted_s - there as f64 / 1e6;
    if lacking <= 0.0 {
        return None;
    }
    let (number, unit) = match lacking {
        s if s >= 86_400.0 => (s / 86_400.0, "days"),
        s if s >= 3_600.0 => (s / 3_600.0, "hours"),
        s => (s / 60.0, "minutes"),
    };
    Some(format!("{number:.1} {unit} more of history"))
}
