//! DMA engines that hammer the translation port, and the judgement of where each access went.
//!
//! An engine issues reads and writes of 1 to 8 doublewords to random pages of the window, in every cycle in which the
//! port takes one, with up to [`Engine::outstanding`] in flight. A granted access is on its way for a random number of
//! cycles, then lands doubleword by doubleword, one per cycle; only then is it done.
//!
//! What an engine may reach is a step function of time: [`Timeline`]. A call of the driver changes it twice, at call
//! (old, new or blocked) and at return (new). The rule:
//! * a granted access counts when it *lands*: its colour must be allowed in the cycle of its last doubleword, so what
//!   was granted through the old domain must be over when the call returns (HW3, R-23);
//! * a refused one counts while it is *judged*: blocked must be allowed at some time between issue and answer.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::paint::{Colour, Colours, PAGE, Palette, paint};
use crate::core::{Access, Kind, Request};
use crate::harness::Finished;
use crate::memory::Memory;

/// Longest access, in doublewords.
const MAX_BEATS: u64 = 8;
/// Upper byte of what devices write.
const STAMP: u64 = 0x57 << 56;

/// What may be reached, from which cycle on.
#[derive(Clone, Debug)]
pub struct Timeline(Vec<(u64, Colours)>);

impl Timeline {
    /// From reset on.
    #[must_use]
    pub fn new(allowed: Colours) -> Self {
        Self(vec![(0, allowed)])
    }

    /// From `cycle` on; not before the last change.
    pub fn change(&mut self, cycle: u64, allowed: Colours) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last <= cycle));
        self.0.push((cycle, allowed));
    }

    /// In one cycle.
    #[must_use]
    pub fn at(&self, cycle: u64) -> Colours {
        self.during(cycle, cycle)
    }

    /// At some time in a range of cycles.
    #[must_use]
    pub fn during(&self, first: u64, last: u64) -> Colours {
        let later = self.0.iter().rev().take_while(|(from, _)| *from > first);
        let inside = later.filter(|(from, _)| *from <= last);
        let begin = self.0.iter().rev().find(|(from, _)| *from <= first);
        inside
            .chain(begin)
            .fold(Colours::from([]), |all, (_, now)| all.or(*now))
    }
}

/// How an engine behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Most accesses in flight, from the request to its last doubleword.
    pub outstanding: usize,
    /// Of 256 cycles in which it could issue, the number in which it does.
    pub eagerness: u8,
    /// Of 256 accesses, the number of writes.
    pub writes: u8,
    /// A granted access lands after 0 to this many cycles.
    pub delay: u64,
}

impl Default for Habits {
    /// Full load: as fast as the port takes requests.
    fn default() -> Self {
        Self {
            outstanding: 8,
            eagerness: 255,
            writes: 128,
            delay: 20,
        }
    }
}

/// A finished access, for timelines and pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Position of the engine.
    pub engine: usize,
    /// Write, or read.
    pub write: bool,
    /// Where to.
    pub iova: u64,
    /// Cycle in which the port took the request.
    pub issued: u64,
    /// Cycle of the answer.
    pub answered: u64,
    /// Cycle of the last doubleword; that of the answer if it was refused.
    pub landed: u64,
    /// What it reached.
    pub colour: Colour,
}

#[derive(Clone, Copy, Debug)]
struct Landing {
    touch: Touch,
    pa: u64,
    beats: u64,
    stamp: u64,
}

/// A DMA engine.
#[derive(Debug)]
pub struct Engine {
    /// Device id of its requests.
    pub device: u32,
    /// Process id of its requests, if any.
    pub process: Option<u32>,
    /// How it behaves.
    pub habits: Habits,
    /// Issues at all.
    pub running: bool,
    /// Pages that it goes to: the window, unless told otherwise.
    pub pages: Vec<u64>,
    /// What it may reach.
    pub timeline: Timeline,
    in_flight: usize,
    landing: Vec<Landing>,
    serial: u64,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub cycle: u64,
    /// The protocol on the bus was broken; else an access went where it must not go.
    pub on_bus: bool,
    /// What, in one sentence without its end.
    pub what: String,
}

/// All engines and what they found.
#[derive(Debug)]
pub struct Load {
    /// The colours.
    pub palette: Palette,
    engines: Vec<Engine>,
    rng: ChaCha8Rng,
    /// Engine of each request that is not answered yet: ids count up, so the front is the oldest.
    requests: Vec<(u64, usize)>,
    next_id: u64,
    turn: usize,
    keep: bool,
    touches: Vec<Touch>,
    counts: Vec<[u64; 64]>,
    violations: Vec<Violation>,
}

/// Violations of each kind that are described; a broken protocol makes thousands.
const MOST_VIOLATIONS: usize = 20;

impl Load {
    /// No engines yet. `keep` keeps every touch, for pictures.
    #[must_use]
    pub fn new(palette: Palette, seed: u64, keep: bool) -> Self {
        Self {
            palette,
            engines: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            requests: Vec::new(),
            next_id: 0,
            turn: 0,
            keep,
            touches: Vec::new(),
            counts: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// A new engine, which issues from now on.
    pub fn engine(
        &mut self,
        device: u32,
        process: Option<u32>,
        habits: Habits,
        allowed: Colours,
    ) -> usize {
        self.engines.push(Engine {
            device,
            process,
            habits,
            running: true,
            pages: self.palette.window().collect(),
            timeline: Timeline::new(allowed),
            in_flight: 0,
            landing: Vec::new(),
            serial: 0,
        });
        self.counts.push([0; 64]);
        self.engines.len() - 1
    }

    /// An engine.
    pub fn engine_mut(&mut self, at: usize) -> &mut Engine {
        &mut self.engines[at]
    }

    /// Engines.
    #[must_use]
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// Touches of an engine that had a colour, so far.
    #[must_use]
    pub fn count(&self, engine: usize, colour: Colour) -> u64 {
        self.counts[engine][usize::from(colour.number())]
    }

    /// Every touch, if they are kept.
    #[must_use]
    pub fn touches(&self) -> &[Touch] {
        &self.touches
    }

    /// What was wrong.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Something was wrong.
    pub fn blame(&mut self, violation: Violation) {
        let alike = self
            .violations
            .iter()
            .filter(|v| v.on_bus == violation.on_bus);
        if alike.count() < MOST_VIOLATIONS {
            self.violations.push(violation);
        }
    }

    fn strayed(&mut self, cycle: u64, what: String) {
        self.blame(Violation {
            cycle,
            on_bus: false,
            what,
        });
    }

    fn below(&mut self, n: u64) -> u64 {
        u64::from(self.rng.next_u32()) % n
    }

    /// The next request of an engine that wants to issue one, in turns.
    pub fn request(&mut self) -> Option<Request> {
        for _ in 0..self.engines.len() {
            let at = self.turn;
            self.turn = (self.turn + 1) % self.engines.len();
            let engine = &self.engines[at];
            let habits = engine.habits;
            if !engine.running || engine.in_flight >= habits.outstanding {
                continue;
            }
            let dice = self.rng.next_u32();
            if dice as u8 > habits.eagerness {
                continue;
            }
            let write = ((dice >> 8) as u8) < habits.writes;
            let Some(page) = engine
                .pages
                .get((dice >> 16) as usize % engine.pages.len().max(1))
            else {
                continue;
            };
            let page = *page;
            // Reads find paint in the lower half, writes leave stamps in the upper one.
            let slots = PAGE / 2 / (8 * MAX_BEATS);
            let offset = self.below(slots) * 8 * MAX_BEATS + if write { PAGE / 2 } else { 0 };
            let engine = &mut self.engines[at];
            engine.in_flight += 1;
            self.requests.push((self.next_id, at));
            self.next_id += 1;
            return Some(Request {
                tag: 0,
                device_id: engine.device,
                process_id: engine.process,
                privileged: false,
                access: if write { Access::Write } else { Access::Read },
                kind: Kind::Untranslated,
                iova: page + offset,
            });
        }
        None
    }

    /// An answer; returns the cycle in which the access is done.
    pub fn answered(&mut self, finished: &Finished) -> u64 {
        let Some(found) = self.requests.iter().position(|(id, _)| *id == finished.id) else {
            self.strayed(
                finished.answered,
                format!("an answer nobody waits for: {finished:?}"),
            );
            return finished.answered;
        };
        let (_, at) = self.requests.remove(found);
        let response = finished.response;
        let mut touch = Touch {
            engine: at,
            write: finished.request.access == Access::Write,
            iova: finished.request.iova,
            issued: finished.issued,
            answered: finished.answered,
            landed: finished.answered,
            colour: Colour::BLOCKED,
        };
        if response.fault {
            self.finish(touch);
            return finished.answered;
        }
        touch.colour = self.palette.reached(touch.iova, response.pa);
        let delay = self.engines[at].habits.delay;
        let beats = 1 + self.below(MAX_BEATS);
        touch.landed += self.below(delay + 1) + beats - 1;
        let engine = &mut self.engines[at];
        engine.serial += 1;
        let stamp = STAMP | (at as u64) << 48 | engine.serial;
        engine.landing.push(Landing {
            touch,
            pa: response.pa,
            beats,
            stamp,
        });
        touch.landed
    }

    /// Lands the doublewords that are due.
    pub fn land(&mut self, cycle: u64, memory: &mut Memory) {
        for at in 0..self.engines.len() {
            let mut n = 0;
            while let Some(landing) = self.engines[at].landing.get(n).copied() {
                let touch = landing.touch;
                let first = touch.landed + 1 - landing.beats;
                if cycle >= first {
                    self.beat(landing, cycle - first, memory);
                }
                if cycle >= touch.landed {
                    self.engines[at].landing.swap_remove(n);
                    self.finish(touch);
                } else {
                    n += 1;
                }
            }
        }
    }

    /// One doubleword. A frame's colour is also what is read from it: the address alone would not tell that the frame
    /// got another use meanwhile.
    fn beat(&mut self, landing: Landing, beat: u64, memory: &mut Memory) {
        let at = landing.pa + 8 * beat;
        let touch = landing.touch;
        if touch.write {
            // What must not be reached is not written either: the simulation goes on with its tables intact.
            if touch.colour != Colour::FORBIDDEN {
                memory.store64(at, landing.stamp);
            }
        } else if touch.colour != Colour::FORBIDDEN && memory.load64(at) != paint(touch.colour, at)
        {
            let cycle = touch.landed;
            self.strayed(
                cycle,
                format!(
                    "device {:#x} read {:#x} from {at:#x}, which is not what {} holds",
                    self.engines[touch.engine].device,
                    memory.load64(at),
                    self.palette.name(touch.colour)
                ),
            );
        }
    }

    /// The access is over: judge it.
    fn finish(&mut self, touch: Touch) {
        let Touch { engine, colour, .. } = touch;
        self.counts[engine][usize::from(colour.number())] += 1;
        if self.keep {
            self.touches.push(touch);
        }
        let this = &mut self.engines[engine];
        this.in_flight -= 1;
        let allowed = if colour == Colour::BLOCKED {
            this.timeline.during(touch.issued, touch.answered)
        } else {
            this.timeline.at(touch.landed)
        };
        if !allowed.has(colour) {
            let did = match colour {
                Colour::BLOCKED => "was refused".to_owned(),
                Colour::FORBIDDEN => "reached memory outside of every domain".to_owned(),
                colour => format!("reached {}", self.palette.name(colour)),
            };
            let what = format!(
                "device {:#x} {did} at IOVA {:#x} ({}, issued {}, answered {}) where only {} is allowed",
                this.device,
                touch.iova,
                if touch.write { "write" } else { "read" },
                touch.issued,
                touch.answered,
                self.palette.names(allowed),
            );
            self.strayed(touch.landed, what);
        }
    }

    /// Accesses that are not over yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.engines.iter().map(|engine| engine.in_flight).sum()
    }
}
