//! The report of a run as one HTML page that needs nothing else: table, plots as inline SVG, definitions.

use std::error::Error;

use plotters::prelude::*;

use crate::harness::Counters;
use crate::replay::Outcome;
use crate::report::{Run, definitions, ratio};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 360;
/// Bars of the distribution.
const BINS: u64 = 120;

/// Looks of a page.
pub(crate) const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
    td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}dt{font-weight:bold}";

type Plot = Result<String, Box<dyn Error>>;
/// Moments and rates.
type Series = Vec<(f64, f64)>;

/// The page.
///
/// # Errors
/// A plot could not be drawn.
pub fn page(run: &Run) -> Result<String, String> {
    let plot_error = |error: Box<dyn Error>| format!("drawing the report: {error}");
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Portcullis run</title>\
         <style>{STYLE}</style></head><body>\n<h1>Portcullis: replay of DMA traces</h1>\n<p>Configuration {}, memory \
         latency {} cycles, {:.1} s.</p>\n<table>\n<tr><th></th>",
        escape(run.config),
        run.timing.latency,
        run.seconds
    );
    for column in run.columns() {
        html.push_str(&format!("<th>{}</th>", escape(column)));
    }
    html.push_str("</tr>\n");
    for (name, cells) in run.rows() {
        html.push_str(&format!("<tr><td>{}</td>", escape(name)));
        for cell in cells {
            html.push_str(&format!("<td>{}</td>", escape(&cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
    for outcome in &run.outcomes {
        for example in &outcome.examples {
            html.push_str(&format!("<p>Wrong: {}</p>\n", escape(example)));
        }
    }
    for outcome in &run.outcomes {
        html.push_str(&format!("<h2>{}</h2>\n", escape(&outcome.name)));
        html.push_str("<h3>Latency distribution</h3>\n");
        html.push_str(&latencies(outcome).map_err(plot_error)?);
        html.push_str("\n<h3>Hit rate over time</h3>\n");
        html.push_str(&hit_rates(outcome).map_err(plot_error)?);
        html.push('\n');
    }
    html.push_str("<h2>Notes</h2>\n<ul>\n");
    for note in run.notes() {
        html.push_str(&format!("<li>{}</li>\n", escape(&note)));
    }
    html.push_str("</ul>\n<h2>Definitions</h2>\n<dl>\n");
    for (word, meaning) in definitions() {
        html.push_str(&format!(
            "<dt>{}</dt><dd>{}</dd>\n",
            escape(word),
            escape(&meaning)
        ));
    }
    html.push_str("</dl>\n</body></html>\n");
    Ok(html)
}

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Share of the touches per latency, on a logarithmic scale: misses are rare and would not be seen on another.
fn latencies(outcome: &Outcome) -> Plot {
    let max = outcome.latencies.iter().copied().max().unwrap_or(0);
    let width = (max / BINS + 1).max(1);
    let bins = usize::try_from(max / width + 1)?;
    let mut counts = vec![0_u64; bins];
    for latency in &outcome.latencies {
        let bin = usize::try_from(latency / width)?;
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
    let all = outcome.latencies.len().max(1) as f64;
    let least = 10.0_f64 / all;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let right = (max + width) as f64;
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, (least..100.0).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("cycles from request to answer")
            .x_label_formatter(&|cycle| format!("{cycle:.0}"))
            .max_light_lines(1)
            .y_desc("% of touches")
            .y_label_formatter(&|share| format!("{share}"))
            .draw()?;
        let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        chart.draw_series(bars.map(|(bin, count)| {
            let left = (bin as u64 * width) as f64;
            let share = 100.0 * *count as f64 / all;
            Rectangle::new(
                [(left, least), (left + width as f64, share)],
                BLUE.mix(0.7).filled(),
            )
        }))?;
        area.present()?;
    }
    Ok(svg)
}

/// Hit rate of each cache between two samples.
fn hit_rates(outcome: &Outcome) -> Plot {
    let end = outcome.samples.last().map_or(1, |sample| sample.cycle);
    let series = |of: fn(&Counters) -> (u64, u64)| {
        let mut before = (0, 0);
        let points = outcome.samples.iter().filter_map(move |sample| {
            let now = of(&sample.counters);
            let rate = ratio(now.0 - before.0, now.1 - before.1)?;
            before = now;
            Some((sample.cycle as f64, 100.0 * rate))
        });
        points.collect::<Series>()
    };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..end as f64, 0.0..100.0)?;
        chart
            .configure_mesh()
            .x_desc("simulated cycle")
            .x_label_formatter(&|cycle| format!("{cycle:.0}"))
            .y_label_formatter(&|share| format!("{share:.0}"))
            .max_light_lines(1)
            .y_desc("hits, %")
            .draw()?;
        let caches: [(&str, RGBColor, Series); 2] = [
            (
                "context cache",
                RED,
                series(|counters| (counters.context_hits, counters.context_misses)),
            ),
            (
                "IOTLB",
                BLUE,
                series(|counters| (counters.iotlb_hits, counters.iotlb_misses)),
            ),
        ];
        for (name, colour, points) in caches {
            chart
                .draw_series(LineSeries::new(points, &colour))?
                .label(name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 15, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}
