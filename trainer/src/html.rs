//! The report as one page that a browser opens from disk: no script, nothing from elsewhere. Text of a log line is only
//! ever text.

use engine::terminal::{lines, shown, thousands};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::{Bin, OddLine, Report};
use crate::text::{per_day, unit, why};

/// Longest text of a line that is shown, in characters.
const SHOWN_CHARACTERS: usize = 2_000;
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const STYLE: &str = include_str!("html/style.css");
/// Size of the histogram, in units of the drawing.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 180.0;

/// The whole page.
pub fn report(report: &Report) -> String {
    let title = format!("Training of model {}", report.model.get(..12).unwrap_or(&report.model));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) " · Isolog" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (title) } p { "Isolog, trained from " (report.inputs.join(", ")) } }
                main {
                    (read(report))
                    (scores(report))
                    (expected(report))
                    (oddest(&report.oddest))
                    (patterns(report))
                    (parameters(report))
                }
            }
        }
    };
    page.into_string()
}

fn section(title: &str, inside: &Markup) -> Markup {
    html! { section { h2 { (title) } (inside) } }
}

fn read(report: &Report) -> Markup {
    let span = report.first_time.as_ref().zip(report.last_time.as_ref());
    let facts = html! {
        dl {
            dt { "Lines read" } dd { (thousands(report.lines)) }
            dt { "Trained on" } dd { (thousands(report.accepted)) }
            @if let Some((first, last)) = span { dt { "From, until" } dd { (first) br; (last) } }
            @if report.excluded > 0 { dt { "Left out on request" } dd { (thousands(report.excluded)) } }
            @if report.blank > 0 { dt { "Blank" } dd { (thousands(report.blank)) } }
            @if report.joined() > 0 { dt { "Headers, and lines that go on with the one before" } dd { (thousands(report.joined())) } }
            dt { "Rejected" } dd { (thousands(report.rejected.iter().map(|rows| rows.count).sum())) }
        }
        @if !report.rejected.is_empty() {
            table {
                caption { "Rejected lines, the first of each reason" }
                thead { tr { th scope="col" { "Reason" } th scope="col" { "Lines" } th scope="col" { "Where" } th scope="col" { "What was found" } } }
                tbody {
                    @for rejected in &report.rejected {
                        @for (at, row) in rejected.examples.iter().enumerate() {
                            tr {
                                td { @if at == 0 { (rejected.reason) } }
                                td.number { @if at == 0 { (thousands(rejected.count)) } }
                                td { (row.input) " " (unit(&row.input)) " " (row.line) }
                                td.log { (shown(&row.detail, SHOWN_CHARACTERS)) }
                            }
                        }
                    }
                }
            }
        }
    };
    section("What was read", &facts)
}

fn scores(report: &Report) -> Markup {
    let above = format!(
        "Threshold {:.4}: {:.2} % of the lines are above{}",
        report.threshold,
        report.share_above * 100.0,
        report.sample_error.map_or(String::new(), |error| format!(
            " (from a sample, standard error {:.2} %)",
            error * 100.0
        ))
    );
    let inside = html! {
        p { (above) "." }
        @if !report.histogram.is_empty() { (drawing(report)) }
        details {
            summary { "The same as a table" }
            table {
                thead { tr { th scope="col" { "Score" } th scope="col" { "Lines" } } }
                tbody {
                    @for bin in &report.histogram {
                        tr { td { (format!("{:.3} to {:.3}", bin.from, bin.to)) } td.number { (thousands(bin.lines)) } }
                    }
                }
            }
        }
    };
    section("Scores of the training lines (0 usual, 1 odd)", &inside)
}

/// Bars of the histogram, their heights by the logarithm of the lines, so that the few odd ones are seen.
fn drawing(report: &Report) -> Markup {
    let bins: &[Bin] = &report.histogram;
    let (first, last) = (bins.first().map_or(0.0, |bin| bin.from), bins.last().map_or(1.0, |bin| bin.to));
    let most = bins.iter().map(|bin| bin.lines).max().unwrap_or(0);
    let x = |score: f64| (score - first) / (last - first).max(f64::MIN_POSITIVE) * WIDTH;
    let height = |count: u64| ((1 + count) as f64).ln() / ((1 + most.max(1)) as f64).ln() * HEIGHT;
    let at = x(report.threshold.clamp(first, last));
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 22.0)) role="img" aria-label="Histogram of the scores; the same stands in the table below" {
                @for bin in bins {
                    rect .odd[bin.to > report.threshold] x=(format!("{:.2}", x(bin.from) + 1.0)) y=(format!("{:.2}", HEIGHT - height(bin.lines)))
                        width=(format!("{:.2}", (x(bin.to) - x(bin.from) - 2.0).max(1.0))) height=(format!("{:.2}", height(bin.lines))) {
                        title { (format!("{:.3} to {:.3}: {}", bin.from, bin.to, lines(bin.lines))) }
                    }
                }
                line x1=(format!("{at:.2}")) x2=(format!("{at:.2}")) y1="0" y2=(HEIGHT) {}
                text x="0" y=(HEIGHT + 16.0) { (format!("{first:.2}")) }
                text x=(WIDTH) y=(HEIGHT + 16.0) text-anchor="end" { (format!("{last:.2}")) }
            }
            figcaption { "Lines by score, on a logarithmic scale; the line is the threshold, what lies above it has a dashed edge." }
        }
    }
}

fn expected(report: &Report) -> Markup {
    let inside = html! {
        table {
            thead { tr { th scope="col" { "CONTAMINATION" } th scope="col" { "Score" } th scope="col" { "Share above" } th scope="col" { "Anomalies a day" } } }
            tbody {
                @for row in &report.expected {
                    tr {
                        td.number { (row.contamination) }
                        td.number { (format!("{:.4}", row.threshold)) }
                        td.number { (format!("{:.3} %", row.share_above * 100.0)) }
                        td.number { (per_day(row.per_day)) }
                    }
                }
            }
        }
        @if let Some(score) = report.budget.score {
            p { code { "ALERT_BUDGET_PER_DAY=" (report.budget.per_day) } (format!(": so many lines a day are expected above score {score:.4}.")) }
        }
        @if let Some(sessions) = &report.sessions {
            p {
                "Sessions by " code { (shown(&sessions.key, 200)) } ": " (thousands(sessions.count))
                (format!("; {:.2} % of them are above the threshold {:.4}.", sessions.share_above * 100.0, sessions.threshold))
            }
        }
    };
    section("What a threshold would give, at the rate of these logs", &inside)
}

fn oddest(odd: &[OddLine]) -> Markup {
    let inside = html! {
        @if odd.is_empty() { p { "No line stands out." } }
        @for line in odd {
            article {
                p.facts {
                    b { (format!("{:.3}", line.score)) } " "
                    @if let Some(number) = line.line { (unit(line.input.as_deref().unwrap_or_default())) " " (number) " · " }
                    (line.timestamp) " · " (line.service) " · " (line.level.unwrap_or("-"))
                    @if line.more > 0 { " · " (thousands(line.more)) " more like it" }
                }
                p.log { (shown(&line.message, SHOWN_CHARACTERS)) }
                p.facts { (why(&line.reasons)) }
                @if let Some(nearest) = &line.nearest_pattern { p.facts { "nearest usual: " (shown(nearest, SHOWN_CHARACTERS)) } }
            }
        }
    };
    section("Oddest lines, one of each kind", &inside)
}

fn patterns(report: &Report) -> Markup {
    let inside = html! {
        table {
            thead { tr { th scope="col" { "Lines" } th scope="col" { "Pattern" } } }
            tbody {
                @for pattern in &report.frequent_patterns {
                    tr { td.number { (thousands(pattern.lines)) } td.log { (shown(&pattern.pattern, SHOWN_CHARACTERS)) } }
                }
            }
        }
    };
    section("What the model takes for usual", &inside)
}

fn parameters(report: &Report) -> Markup {
    let params = &report.params;
    let inside = html! {
        dl {
            dt { "CONTAMINATION" } dd { (params.contamination) }
            dt { "N_ESTIMATORS" } dd { (params.n_estimators) }
            dt { "MAX_SAMPLES" } dd { (params.max_samples) }
            dt { "N_FEATURES" } dd { (params.n_features) }
            dt { "RANDOM_SEED" } dd { (params.seed) }
            dt { "File" } dd { (report.model_path) ", " (thousands(report.model_bytes)) " bytes" }
            dt { "Digest" } dd { code { (report.model) } }
            dt { "Program" } dd { "trainer " (env!("CARGO_PKG_VERSION")) }
        }
    };
    section("Parameters", &inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Pattern, RejectedRow, RejectedRows};

    fn hostile() -> String {
        "<script>alert(1)</script> \"'&amp; \u{1b}[31m \u{202e}gnp".to_owned()
    }

    #[test]
    fn text_of_a_line_is_only_text() {
        let example = RejectedRow { input: hostile(), line: 3, detail: hostile() };
        let odd = OddLine {
            input: Some(hostile()),
            line: Some(7),
            timestamp: String::new(),
            service: hostile(),
            level: None,
            message: hostile(),
            score: 0.9,
            more: 2,
            reasons: Vec::new(),
            nearest_pattern: Some(hostile()),
        };
        let page = report(&Report {
            inputs: vec![hostile()],
            rejected: vec![RejectedRows { reason: "invalid_json", count: 1, examples: vec![example] }],
            oddest: vec![odd],
            frequent_patterns: vec![Pattern { pattern: hostile(), lines: 1 }],
            histogram: vec![Bin { from: 0.0, to: 0.5, lines: 9 }, Bin { from: 0.5, to: 1.0, lines: 0 }],
            ..Report::default()
        });
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;").count(), 7, "{page}");
        assert!(!page.contains("://"), "it asks nobody for anything");
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn the_numbers_of_lines_add_up() {
        let rejected = RejectedRows { reason: "invalid_json", count: 4, examples: Vec::new() };
        let lines = |joined: u64| Report {
            lines: 1_000 + joined,
            accepted: 990,
            excluded: 5,
            blank: 1,
            rejected: vec![rejected.clone()],
            ..Report::default()
        };
        let said = "Headers, and lines that go on with the one before</dt><dd>56</dd>";
        assert!(report(&lines(56)).contains(said), "{}", report(&lines(56)));
        assert!(!report(&lines(0)).contains("Headers, and lines"));
        assert!(crate::text::report(&lines(56)).contains("the one before: 56\n"));
    }

    #[test]
    fn a_report_of_nothing_is_a_page() {
        let page = report(&Report::default());
        assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"), "{page}");
        assert!(page.contains("No line stands out."));
    }
}
