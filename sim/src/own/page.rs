//! The demonstration as one HTML page that needs nothing else: the whole of it as a strip, each call under a lens.

use std::fmt::Write;

use portcullis_regmap::command::Op;

use super::load::Touch;
use super::monitor::BusEvent;
use super::show::{BYSTANDER, DEVICE, Show, Stretch};
use crate::html::{STYLE, escape};

const WIDTH: u64 = 900;
/// Room for the words at the left of a lane.
const LEFT: u64 = 90;
const LANE: u64 = 26;
/// Cycles before and after a call under the lens.
const MARGIN: u64 = 60;
/// Height of one access under the lens.
const BAR: u64 = 5;

/// Fill of a colour of memory.
fn fill(name: &str) -> &'static str {
    match name {
        "blocked" => "#b8b8b8",
        "identity" => "#e0a030",
        "red" => "#d62728",
        "blue" => "#1f5fd0",
        "green" => "#2a9d3a",
        "grey" => "#7a5ea8",
        _ => "#ff00ff",
    }
}

/// From cycles to pixels.
struct Scale {
    first: u64,
    last: u64,
}

impl Scale {
    fn x(&self, cycle: u64) -> f64 {
        let length = (self.last - self.first).max(1) as f64;
        let into = cycle.saturating_sub(self.first) as f64;
        LEFT as f64 + into / length * (WIDTH - LEFT - 10) as f64
    }
}

/// The page.
#[must_use]
pub fn page(show: &Show) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Portcullis: who owns the DMA</title>\
         <style>{STYLE} .lane{{font:12px sans-serif}} code{{background:#f3f3f3}}</style></head><body>\n\
         <h1>Portcullis: who owns the DMA</h1>\n<p>Configuration {}, memory latency {} cycles, seed {}: {} cycles. Device \
         {DEVICE:#x} changes hands while it hammers {} pages; device {BYSTANDER:#x} beside it never does.</p>\n",
        escape(show.setting.config.name),
        show.setting.timing.latency,
        show.setting.seed,
        show.cycles,
        show.setting.pages,
    );
    match &show.wrong {
        Some(wrong) => {
            let _ = writeln!(html, "<p><b>Wrong: {}.</b></p>", escape(wrong));
        }
        None => {
            let _ = writeln!(
                html,
                "<p>{} accesses, every one where it may go. Refused during hitless replacements: {}.</p>",
                show.touches.len(),
                show.refused_while_hitless()
            );
        }
    }
    for note in &show.notes {
        let _ = writeln!(html, "<p>{}</p>", escape(note));
    }
    html.push_str("<p>");
    for colour in show.colours() {
        let name = show.palette.name(colour);
        let _ = write!(
            html,
            "<span style=\"background:{};padding:0 .7em\">&nbsp;</span> {} &nbsp; ",
            fill(name),
            escape(name)
        );
    }
    html.push_str("</p>\n<h2>All of it</h2>\n");
    html.push_str(&strip(show));
    html.push_str(
        "<h2>Call by call</h2>\n<p>Each bar is an access: thin from request to answer, thick from the answer to its last \
         doubleword. The shaded part is the call of the driver. Below: stores of the driver to the device's context, the \
         commands as the core fetched them, and the moment in which the driver learnt that the last fence was \
         passed.</p>\n",
    );
    let stretches = show.stretches(0);
    for stretch in &stretches {
        if stretch.call.is_some_and(|step| step.engines.contains(&0)) {
            lens(&mut html, show, stretch);
        }
    }
    html.push_str("<h2>Numbers</h2>\n");
    table(&mut html, show, &stretches);
    html.push_str("</body></html>\n");
    html
}

/// Both devices over all time.
fn strip(show: &Show) -> String {
    let scale = Scale {
        first: 0,
        last: show.cycles,
    };
    let mut svg = open(2 * LANE + 30);
    for step in &show.steps {
        shade(&mut svg, &scale, step.called, step.returned, 2 * LANE);
    }
    for (engine, device) in [(0, DEVICE), (1, BYSTANDER)] {
        let top = engine as u64 * LANE + 3;
        word(
            &mut svg,
            2,
            top + LANE / 2 + 3,
            &format!("device {device:#x}"),
        );
        for colour in show.colours() {
            let mut path = String::new();
            for touch in touches(show, engine).filter(|touch| touch.colour == colour) {
                let _ = write!(path, "M{:.1} {top}v{}", scale.x(touch.landed), LANE - 6);
            }
            stroke(&mut svg, &path, fill(show.palette.name(colour)), 1);
        }
    }
    axis(&mut svg, &scale, 2 * LANE);
    svg.push_str("</svg>\n");
    svg
}

/// One call with some time around it.
fn lens(html: &mut String, show: &Show, stretch: &Stretch<'_>) {
    let scale = Scale {
        first: stretch.first.saturating_sub(MARGIN),
        last: stretch.end + MARGIN,
    };
    let inside = |touch: &&Touch| touch.landed >= scale.first && touch.issued <= scale.last;
    // Each access takes the first row that is free.
    let mut rows: Vec<u64> = Vec::new();
    let mut bars = String::new();
    for touch in touches(show, 0).filter(inside) {
        let free = rows.iter().position(|end| *end < touch.issued);
        let row = free.unwrap_or(rows.len());
        if row == rows.len() {
            rows.push(0);
        }
        rows[row] = touch.landed;
        let y = 4 + row as u64 * (BAR + 1);
        let colour = fill(show.palette.name(touch.colour));
        let issued = scale.x(touch.issued.max(scale.first));
        let answered = scale.x(touch.answered.max(scale.first));
        let landed = scale.x(touch.landed.min(scale.last)) + 1.5;
        let _ = write!(
            bars,
            "<path stroke=\"{colour}\" d=\"M{issued:.1} {}H{answered:.1}\"/><rect x=\"{answered:.1}\" y=\"{y}\" \
             width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>",
            y + BAR / 2,
            (landed - answered).max(1.5),
        );
    }
    let body = 8 + rows.len() as u64 * (BAR + 1);
    let bus = bus(show, &scale, stretch, body);
    let height = body + bus.1;
    let mut svg = open(height + 24);
    shade(&mut svg, &scale, stretch.first, stretch.end, height);
    svg.push_str(&bars);
    word(&mut svg, 2, body / 2 + 4, "DMA");
    svg.push_str(&bus.0);
    axis(&mut svg, &scale, height);
    svg.push_str("</svg>\n");
    let _ = writeln!(
        html,
        "<h3>{}</h3>\n<p>From cycle {}, for {} cycles.</p>\n{svg}",
        escape(stretch.name()),
        stretch.first,
        stretch.end - stretch.first
    );
}

/// The bus during a call, and its height: each event on a line of its own.
fn bus(show: &Show, scale: &Scale, stretch: &Stretch<'_>, top: u64) -> (String, u64) {
    let mut svg = String::new();
    let mut y = top;
    let events = stretch
        .call
        .and_then(|step| show.events.get(step.bus.clone()));
    for (cycle, event) in events.unwrap_or_default() {
        let text = match event {
            BusEvent::Store(device, word, value) => {
                let field = match word {
                    0 => "tc",
                    8 => "iohgatp",
                    16 => "ta",
                    _ => "fsc",
                };
                format!("store {field} of {device:#x} = {value:#x}")
            }
            BusEvent::Doorbell => "doorbell".to_owned(),
            BusEvent::Command(op) => command(op.as_ref()),
            BusEvent::Synced => "fence passed".to_owned(),
        };
        y += 13;
        let x = scale.x(*cycle);
        let _ = write!(
            svg,
            "<path stroke=\"#444\" d=\"M{x:.1} {top}V{y}h4\"/><text class=\"lane\" fill=\"#222\" x=\"{:.1}\" y=\"{}\" {}>{}</text>",
            if x > 600.0 { x - 4.0 } else { x + 6.0 },
            y + 4,
            if x > 600.0 { "text-anchor=\"end\"" } else { "" },
            escape(&text)
        );
    }
    if y > top {
        word(&mut svg, 2, top + 16, "bus");
    }
    (svg, y - top + 8)
}

fn command(op: Option<&Op>) -> String {
    match op {
        Some(Op::InvalDdt { did: Some(did) }) => format!("IODIR.INVAL_DDT {did:#x}"),
        Some(Op::InvalDdt { did: None }) => "IODIR.INVAL_DDT, all".to_owned(),
        Some(Op::Iotinval { pscid: Some(p), .. }) => format!("IOTINVAL.VMA PSCID {p}"),
        Some(Op::Iotinval { .. }) => "IOTINVAL.VMA, all".to_owned(),
        Some(Op::Iofence {
            pr: true, pw: true, ..
        }) => "IOFENCE.C PR PW".to_owned(),
        Some(Op::Iofence { .. }) => "IOFENCE.C".to_owned(),
        Some(op) => format!("{op:?}"),
        None => "illegal command".to_owned(),
    }
}

fn table(html: &mut String, show: &Show, stretches: &[Stretch<'_>]) {
    html.push_str("<table>\n<tr><th>call</th><th>cycles</th><th>reached</th><th>accesses</th><th>first</th><th>last</th></tr>\n");
    for stretch in stretches {
        for (n, reached) in stretch.reached.iter().enumerate() {
            let (call, cycles) = if n == 0 {
                let length = stretch.end - stretch.first;
                (stretch.name(), length.to_string())
            } else {
                ("", String::new())
            };
            let _ = writeln!(
                html,
                "<tr><td>{}</td><td>{cycles}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(call),
                escape(show.palette.name(reached.colour)),
                reached.count,
                reached.first,
                reached.last
            );
        }
    }
    html.push_str("</table>\n");
}

fn touches(show: &Show, engine: usize) -> impl Iterator<Item = &Touch> {
    show.touches.iter().filter(move |t| t.engine == engine)
}

fn open(height: u64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" fill=\"none\">\n"
    )
}

fn shade(svg: &mut String, scale: &Scale, first: u64, end: u64, height: u64) {
    let (from, to) = (scale.x(first), scale.x(end));
    let _ = write!(
        svg,
        "<rect x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height}\" fill=\"#e8eef8\"/>",
        to - from
    );
}

fn stroke(svg: &mut String, path: &str, colour: &str, width: u64) {
    if !path.is_empty() {
        let _ = writeln!(
            svg,
            "<path stroke=\"{colour}\" stroke-width=\"{width}\" d=\"{path}\"/>"
        );
    }
}

fn word(svg: &mut String, x: u64, y: u64, text: &str) {
    let _ = write!(
        svg,
        "<text class=\"lane\" x=\"{x}\" y=\"{y}\" fill=\"#222\">{}</text>",
        escape(text)
    );
}

/// Ticks at round cycles.
fn axis(svg: &mut String, scale: &Scale, y: u64) {
    let length = scale.last - scale.first;
    let mut tick = 10;
    while length / tick > 12 {
        tick *= if tick.to_string().starts_with('2') {
            5
        } else {
            2
        };
    }
    let mut path = format!("M{LEFT} {y}H{}", WIDTH - 10);
    for cycle in (scale.first.div_ceil(tick)..=scale.last / tick).map(|n| n * tick) {
        let x = scale.x(cycle);
        let _ = write!(path, "M{x:.1} {y}v4");
        word(svg, (x - 10.0) as u64, y + 16, &cycle.to_string());
    }
    stroke(svg, &path, "#444", 1);
}
