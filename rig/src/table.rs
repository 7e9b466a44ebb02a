//! What was measured beside what is to be reached, as one Markdown table.

use serde::Serialize;

pub use testkit::plot::figure;

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Bar {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
    /// Told only.
    None,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was done.
    pub what: String,
    /// What it is compared with.
    pub against: String,
    /// What is to be reached.
    pub bar: Bar,
    /// One value a repeat.
    pub values: Vec<f64>,
    /// Stands behind every figure: `×`, ` %` or nothing.
    pub unit: &'static str,
    /// The figures behind the ratio, and what is to be known of them.
    pub note: String,
}

impl Row {
    /// Whether the median reaches the bar.
    pub fn is_reached(&self) -> bool {
        match self.bar {
            Bar::AtLeast(least) => median(&self.values) >= least,
            Bar::AtMost(most) => median(&self.values) <= most,
            Bar::None => true,
        }
    }
}

/// The median; NaN of nothing, which reaches no bar.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// `median (least–greatest)`, without the brackets for one value.
pub fn spread(values: &[f64], unit: &str) -> String {
    let middle = figure(median(values));
    if values.len() < 2 {
        return format!("{middle}{unit}");
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{middle}{unit} ({}–{})", figure(least), figure(greatest))
}

/// The rows as a Markdown table, columns aligned.
pub fn markdown(rows: &[Row]) -> String {
    let mut cells = vec![["what", "against", "bar", "measured", "reached", "figures"].map(str::to_owned)];
    cells.push(["---"; 6].map(str::to_owned));
    for row in rows {
        let (bar, reached) = match row.bar {
            Bar::AtLeast(least) => (format!("≥ {}{}", plain(least), row.unit), yes(row.is_reached())),
            Bar::AtMost(most) => (format!("≤ {}{}", plain(most), row.unit), yes(row.is_reached())),
            Bar::None => ("–".to_owned(), "–"),
        };
        let measured = spread(&row.values, row.unit);
        cells.push([
            row.what.clone(),
            row.against.clone(),
            bar,
            measured,
            reached.to_owned(),
            row.note.clone(),
        ]);
    }
    let widths: Vec<usize> =
        (0..6).map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &cells {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
    }
    text
}

const fn yes(reached: bool) -> &'static str {
    if reached { "yes" } else { "**no**" }
}

/// A bar as it was set: 60, 1.15, 0.97.
fn plain(value: f64) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bar: Bar, values: &[f64]) -> Row {
        Row {
            what: "score".to_owned(),
            against: "peer".to_owned(),
            bar,
            values: values.to_vec(),
            unit: "×",
            note: "1 s, 60 s".to_owned(),
        }
    }

    #[test]
    fn the_median_decides_whether_a_bar_is_reached() {
        assert!(row(Bar::AtLeast(60.0), &[10.0, 61.0, 62.0]).is_reached());
        assert!(!row(Bar::AtLeast(60.0), &[10.0, 59.0, 90.0]).is_reached());
        assert!(row(Bar::AtMost(2.0), &[1.0, 2.0]).is_reached());
        assert!(!row(Bar::AtMost(2.0), &[2.1]).is_reached());
        assert!(!row(Bar::AtLeast(0.0), &[]).is_reached());
    }

    #[test]
    fn the_table_shows_bar_median_and_spread() {
        let text = markdown(&[row(Bar::AtLeast(60.0), &[64.04, 71.0, 60.5]), row(Bar::None, &[0.5])]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].contains("| ≥ 60× | 64.0× (60.5–71.0) | yes "), "{text}");
        assert!(lines[3].contains("| –     | 0.500× "), "{text}");
        let width = |line: &str| line.chars().count();
        assert!(lines.iter().all(|line| width(line) == width(lines[0])), "{text}");
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!([1234.5, 45.67, 1.234, 0.1234].map(figure), ["1234", "45.7", "1.23", "0.123"]);
    }
}
