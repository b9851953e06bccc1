//! The plots of the page, as SVG.

use std::error::Error;
use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// A line with its name.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    /// A number for the colour; lines of the peer are grey.
    pub(super) colour: Option<usize>,
}

/// Axes of a plot.
pub(super) struct Axes {
    pub(super) x: &'static str,
    pub(super) y: &'static str,
    /// Powers of two, equally spaced, instead of a linear axis.
    pub(super) doubling: bool,
    pub(super) legend: SeriesLabelPosition,
}

const SIZE: (u32, u32) = (760, 380);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x1f, 0x5f, 0xbf),
    RGBColor(0xc0, 0x39, 0x2b),
    RGBColor(0x27, 0x8f, 0x4f),
    RGBColor(0x8e, 0x44, 0xad),
    RGBColor(0xd3, 0x8b, 0x0b),
    RGBColor(0x16, 0x8a, 0x9c),
];
const PEER: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// Draws lines.
///
/// # Errors
/// The library refuses.
pub(super) fn plot(axes: Axes, lines: &[Line]) -> Result<String, String> {
    draw(axes, lines).map_err(|error| format!("drawing a plot: {error}"))
}

fn draw(axes: Axes, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let place = |x: f64| if axes.doubling { x.log2() } else { x };
    let all = || lines.iter().flat_map(|line| &line.points);
    let top = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let right = top(&mut all().map(|point| place(point.0)));
    let high = 1.05 * top(&mut all().map(|point| point.1));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(15)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(axis(0.0..right), axis(0.0..high))?;
        let doubling = axes.doubling;
        let label = move |x: &f64| match (doubling, x.fract() == 0.0) {
            (false, _) => format!("{x:.0}"),
            (true, true) => format!("{:.0}", x.exp2()),
            (true, false) => String::new(),
        };
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_labels(if doubling { right as usize + 1 } else { 11 })
            .x_label_formatter(&label)
            .y_label_formatter(&|y| super::table::number(*y))
            .max_light_lines(0)
            .draw()?;
        for line in lines {
            let colour = line.colour.map_or(PEER, |at| COLOURS[at % COLOURS.len()]);
            let points: Vec<_> = line.points.iter().map(|(x, y)| (place(*x), *y)).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2))
                });
            let dots = points
                .into_iter()
                .map(|point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dots)?;
        }
        chart
            .configure_series_labels()
            .position(axes.legend)
            .background_style(WHITE.mix(0.9))
            .border_style(PEER)
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

fn axis(range: Range<f64>) -> RangedCoordf64 {
    range.into()
}
