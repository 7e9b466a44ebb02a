//! A line chart as SVG: few series, the places on the x axis those that were measured. For benches and long tests.

use std::fmt::Write as _;

/// How the x axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By orders of magnitude; each x is greater than 0.
    Logarithmic,
    /// Evenly, from 0.
    Linear,
}

/// A chart.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Above it.
    pub title: &'a str,
    /// Below the x axis.
    pub x: &'a str,
    /// How the x axis runs.
    pub scale: Scale,
    /// Above the y axis, with the unit.
    pub y: &'a str,
    /// Name and points of each series.
    pub series: &'a [(String, Vec<(f64, f64)>)],
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 56.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d9480f", "#2b8a3e", "#862e9c"];
/// Most figures below the x axis of a linear scale.
const MOST_TICKS: usize = 8;
/// Lines across, the axis not counted.
const STEPS: u32 = 4;

impl Plot<'_> {
    /// The chart as an SVG document.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|(_, points)| points.iter().copied());
        let least = points().map(|(x, _)| x).fold(f64::INFINITY, f64::min);
        let greatest = points().map(|(x, _)| x).fold(0.0, f64::max);
        let top = round_up(points().map(|(_, y)| y).fold(0.0, f64::max));
        let share = |x: f64| match self.scale {
            Scale::Logarithmic => (x / least).ln() / (greatest / least).ln().max(f64::MIN_POSITIVE),
            Scale::Linear => x / greatest.max(f64::MIN_POSITIVE),
        };
        let at_x = |x: f64| LEFT + share(x) * (WIDTH - LEFT - RIGHT);
        let at_y = |y: f64| HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, WIDTH / 2.0, 20.0, "middle", "#111111", self.title);
        text(&mut svg, 12.0, TOP - 14.0, "start", "#444444", self.y);
        text(&mut svg, WIDTH / 2.0, HEIGHT - 12.0, "middle", "#444444", self.x);
        for step in 0..=STEPS {
            let y = top * f64::from(step) / f64::from(STEPS);
            let (place, right) = (at_y(y), WIDTH - RIGHT);
            let _ = writeln!(svg, "<path d=\"M{LEFT} {place:.1}H{right}\" stroke=\"#dddddd\"/>");
            text(&mut svg, LEFT - 6.0, place + 4.0, "end", "#444444", &short(y));
        }
        let mut ticks: Vec<f64> = points().map(|(x, _)| x).collect();
        ticks.sort_unstable_by(f64::total_cmp);
        ticks.dedup();
        let every = match self.scale {
            Scale::Logarithmic => 1,
            Scale::Linear => ticks.len().div_ceil(MOST_TICKS).max(1),
        };
        ticks
            .iter()
            .skip(every - 1)
            .step_by(every)
            .for_each(|x| text(&mut svg, at_x(*x), HEIGHT - BOTTOM + 18.0, "middle", "#444444", &short(*x)));
        for (number, (name, points)) in self.series.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let line: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                line.join(" ")
            );
            for (x, y) in points {
                let (x, y) = (at_x(*x), at_y(*y));
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            }
            text(&mut svg, LEFT + 180.0 * number as f64, 40.0, "start", colour, name);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{content}</text>"
    );
}

/// Three digits that count, without an exponent.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// 1, 2, 4 or 8 times a power of ten that is not below the value.
fn round_up(value: f64) -> f64 {
    let power = 10.0_f64.powf(value.max(1e-9).log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|round| *round >= value)
        .unwrap_or(value)
}

/// 250, 4k, 1M.
fn short(value: f64) -> String {
    let (scaled, letter) = match value {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let rounded = if scaled.fract() == 0.0 { format!("{scaled:.0}") } else { figure(scaled) };
    format!("{rounded}{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_and_name_is_in_the_chart() {
        let series =
            [("a<b".to_owned(), vec![(1.0, 10.0), (100.0, 35.0)]), ("c".to_owned(), vec![(10.0, 5.0)])];
        let svg = Plot { title: "T", x: "trees", scale: Scale::Logarithmic, y: "ns", series: &series }.svg();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains(">a&lt;b</text>") && svg.contains(">trees</text>"), "{svg}");
        // The least x stands at the left, the greatest at the right, the top of the axis is 40.
        assert!(svg.contains("points=\"64.0,") && svg.contains(" 616.0,"), "{svg}");
        assert!(svg.contains(">40</text>"), "{svg}");
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_names_few_of_many_places() {
        let series = [("a".to_owned(), (1..=60).map(|x| (f64::from(x), 2.0)).collect())];
        let svg = Plot { title: "T", x: "minutes", scale: Scale::Linear, y: "MiB", series: &series }.svg();
        assert!(svg.contains(" 340.0,64.0 "), "30 of 60 stands in the middle, 2 of 2 at the top: {svg}");
        assert!(
            svg.contains(">8</text>") && svg.contains(">56</text>") && !svg.contains(">9</text>"),
            "{svg}"
        );
    }

    #[test]
    fn large_figures_are_shortened() {
        assert_eq!([250.0, 4_000.0, 4_096.0, 2e6].map(short), ["250", "4k", "4.10k", "2M"]);
    }
}
