//! Memory with colours: where a device's access went is read off the address, and off the data.
//!
//! A probe window of [`Palette::window`] pages is mapped in every domain, each time to frames of a colour of its own.
//! The lower half of a frame holds paint, a doubleword that tells colour and address; devices read there. They write
//! stamps into the upper half. An identity domain has the frames at the window's own addresses. Everything else is
//! [`Colour::FORBIDDEN`].

use std::collections::HashMap;
use std::fmt;

use crate::memory::Memory;

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// First IOVA of the probe window, and the stride between its pages: no two of them lie in one large page's worth of
/// neighbours, so that each is a leaf of 4 KiB.
const WINDOW: u64 = 0x2000_0000;
const STRIDE: u64 = 3 * PAGE;
/// Where frames are taken from: [`FRAMES_PER_COLOUR`] pages each.
const FRAMES: u64 = 0x8000_0000;
const FRAMES_PER_COLOUR: u64 = 256;
/// What freed tables are filled with: a leaf, good at every level, to a place that nobody owns.
pub const POISON: u64 = (0xc000_0000 >> 12 << 10) | 0xdf;
const PAINT: u64 = 0xc0 << 56;
const CANARY: u64 = 0xca9a_4100_0000_0000;

/// What an access reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Colour(u8);

impl Colour {
    /// Nothing: the access was refused.
    pub const BLOCKED: Self = Self(0);
    /// Memory of nobody, of the IOMMU, or of a domain that was given back.
    pub const FORBIDDEN: Self = Self(63);
    /// Most colours beside these two.
    const MOST: u8 = 62;

    /// Number, below 64.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "colour {}", self.0)
    }
}

/// A set of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours(u64);

impl Colours {
    /// Whether the colour is one of them.
    #[must_use]
    pub fn has(self, colour: Colour) -> bool {
        self.0 >> colour.0 & 1 == 1
    }

    /// These and those.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        Self(self.0 | other.into().0)
    }

    /// Numbers in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Colour> {
        (0..64).map(Colour).filter(move |colour| self.has(*colour))
    }
}

impl From<Colour> for Colours {
    fn from(colour: Colour) -> Self {
        Self(1 << colour.0)
    }
}

impl<const N: usize> From<[Colour; N]> for Colours {
    fn from(colours: [Colour; N]) -> Self {
        colours.into_iter().fold(Self(0), Self::or)
    }
}

/// The colours in use and their frames.
#[derive(Clone, Debug)]
pub struct Palette {
    pages: u64,
    /// Frame number to colour and IOVA.
    frames: HashMap<u64, (Colour, u64)>,
    names: Vec<String>,
    /// Frames given back, overwritten with canaries.
    canaries: Vec<u64>,
}

impl Palette {
    /// A palette for a window of `pages` pages (at most 256), without colours yet.
    #[must_use]
    pub fn new(pages: u64) -> Self {
        assert!(pages <= FRAMES_PER_COLOUR, "{pages} pages are too many");
        Self {
            pages,
            frames: HashMap::new(),
            names: vec!["blocked".to_owned()],
            canaries: Vec::new(),
        }
    }

    /// IOVAs of the window's pages.
    pub fn window(&self) -> impl Iterator<Item = u64> + use<> {
        (0..self.pages).map(|page| WINDOW + page * STRIDE)
    }

    /// Paints frames for a new domain. Returns its colour, and IOVA and physical address of each page.
    pub fn paint(&mut self, name: &str, memory: &mut Memory) -> (Colour, Vec<(u64, u64)>) {
        let colour = self.next(name);
        let first = FRAMES + u64::from(colour.0) * FRAMES_PER_COLOUR * PAGE;
        // Frames in another order than the pages, so that no two neighbours stay neighbours.
        let pages = self.pages;
        let place = |page: u64| first + (pages - 1 - page) * PAGE;
        let frames: Vec<_> = self.window().zip((0..pages).map(place)).collect();
        self.fill(colour, &frames, memory);
        (colour, frames)
    }

    /// The frame is mapped at another IOVA than that of the window's page it was painted for.
    pub fn move_to(&mut self, iova: u64, pa: u64) {
        if let Some((_, page)) = self.frames.get_mut(&(pa / PAGE)) {
            *page = iova;
        }
    }

    /// Paints the frames that an identity domain reaches.
    pub fn paint_identity(&mut self, memory: &mut Memory) -> Colour {
        let colour = self.next("identity");
        let frames: Vec<_> = self.window().map(|page| (page, page)).collect();
        self.fill(colour, &frames, memory);
        colour
    }

    fn next(&mut self, name: &str) -> Colour {
        let colour = Colour(self.names.len() as u8);
        assert!(colour.0 <= Colour::MOST, "out of colours");
        self.names.push(name.to_owned());
        colour
    }

    fn fill(&mut self, colour: Colour, frames: &[(u64, u64)], memory: &mut Memory) {
        for &(iova, pa) in frames {
            self.frames.insert(pa / PAGE, (colour, iova));
            for at in (pa..pa + PAGE / 2).step_by(8) {
                memory.store64(at, paint(colour, at));
            }
        }
    }

    /// A domain's memory goes back to its owner, who overwrites all of it: nothing may reach it from now on.
    pub fn give_back(&mut self, colour: Colour, memory: &mut Memory) {
        let gone: Vec<u64> = self
            .frames
            .iter()
            .filter(|(_, (of, _))| *of == colour)
            .map(|(frame, _)| *frame)
            .collect();
        for frame in gone {
            self.frames.remove(&frame);
            let pa = frame * PAGE;
            for at in (pa..pa + PAGE).step_by(8) {
                memory.store64(at, CANARY | at);
            }
            self.canaries.push(pa);
        }
    }

    /// The first address of memory given back that somebody has written since.
    #[must_use]
    pub fn dead_canary(&self, memory: &Memory) -> Option<u64> {
        let addresses = self
            .canaries
            .iter()
            .flat_map(|pa| (*pa..pa + PAGE).step_by(8));
        addresses
            .into_iter()
            .find(|at| memory.load64(*at) != CANARY | at)
    }

    /// Colour of an answer: the window's page must have gone to its own frame.
    #[must_use]
    pub fn reached(&self, iova: u64, pa: u64) -> Colour {
        match self.frames.get(&(pa / PAGE)) {
            Some((colour, page)) if *page == iova & !(PAGE - 1) && pa % PAGE == iova % PAGE => {
                *colour
            }
            _ => Colour::FORBIDDEN,
        }
    }

    /// Name of a colour.
    #[must_use]
    pub fn name(&self, colour: Colour) -> &str {
        let name = self.names.get(usize::from(colour.0));
        name.map_or("forbidden", String::as_str)
    }

    /// Names of a set.
    #[must_use]
    pub fn names(&self, colours: Colours) -> String {
        let names: Vec<&str> = colours.iter().map(|colour| self.name(colour)).collect();
        names.join(" or ")
    }
}

/// What a painted doubleword reads.
#[must_use]
pub fn paint(colour: Colour, at: u64) -> u64 {
    PAINT | u64::from(colour.0) << 48 | at
}
