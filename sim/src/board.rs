//! The command `board`: talks to a demonstration system, on a board at a serial port or in simulation.

use crate::backend::verilog::build::Recipe;
use clap::{Args, Subcommand};
use portcullis::platform::{Bridge, ByteStream, ConnectError, Line, Registers};
use portcullis_board::boards::{self, BOARDS};
use portcullis_board::selftest;
use portcullis_board::soc::{self, line};
use portcullis_regmap::regs::REGISTERS;
use std::io::{self, ErrorKind, Read, Write};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// Arguments of `board`.
#[derive(Args)]
#[command(group(clap::ArgGroup::new("where").required(true)))]
pub struct BoardArgs {
    /// Serial port that the board is at, such as /dev/ttyUSB1
    #[arg(long, value_name = "DEV", group = "where")]
    port: Option<String>,
    /// No board: its Verilog under Verilator, through the simulated serial line
    #[arg(long, group = "where")]
    simulate: bool,
    /// Which board it is: alchitry-cu, ulx3s-85f, orangecrab-25f or colorlight-i5
    #[arg(long, value_name = "BOARD", default_value = BOARDS[0].name)]
    board: String,
    /// Bits per second of the port; without it those of the board
    #[arg(long, value_name = "N")]
    baud: Option<u32>,
    #[command(subcommand)]
    job: Job,
}

#[derive(Clone, Copy, Subcommand)]
enum Job {
    /// Say what the board is
    Identify,
    /// Run the driver on it: bring-up, attach, DMA, replace, detach
    SelfTest,
    /// Print the IOMMU's registers
    Registers,
}

type Create = unsafe extern "C" fn() -> *mut Opaque;
type Destroy = unsafe extern "C" fn(*mut Opaque);
type Cycle = unsafe extern "C" fn(*mut Opaque, u32, u32) -> u32;

/// The C++ side's system; only pointers to it exist here.
#[repr(C)]
struct Opaque {
    _data: [u8; 0],
}

/// The system's generated Verilog under Verilator.
pub struct Verilated {
    system: NonNull<Opaque>,
    destroy: Destroy,
    cycle: Cycle,
    /// Keeps the code mapped for as long as the pointers above exist.
    _code: libloading::Library,
}

impl Verilated {
    /// A system at power-up with a line of `divider` clocks per bit; see [`soc::System::new`].
    ///
    /// # Errors
    /// Verilator or the compiler is missing or refuses.
    pub fn new(hertz: u64, divider: u16) -> Result<Self, String> {
        let verilog = soc::verilog(hertz, divider)?;
        let recipe = Recipe::new(
            verilog,
            soc::TOP.into(),
            include_str!("board/shim.cpp"),
            false,
        )?;
        if !recipe.path().exists() {
            recipe.build()?;
        }
        let named = |error: libloading::Error| format!("{}: {error}", recipe.path().display());
        // SAFETY: the library is this program's own product (its name carries a hash of all it was made of), and its
        // static initialisers are those of Verilator's runtime, which touch nothing outside the library.
        let code = unsafe { libloading::Library::new(recipe.path()) }.map_err(named)?;
        // SAFETY: shim.cpp defines the three functions with these signatures.
        let (create, destroy, cycle): (Create, Destroy, Cycle) = unsafe {
            (
                *code.get(b"portcullis_system_create\0").map_err(named)?,
                *code.get(b"portcullis_system_destroy\0").map_err(named)?,
                *code.get(b"portcullis_system_cycle\0").map_err(named)?,
            )
        };
        // SAFETY: the function takes nothing and returns a system of its own, or null.
        let system = NonNull::new(unsafe { create() }).ok_or("no memory for the simulation")?;
        Ok(Verilated {
            system,
            destroy,
            cycle,
            _code: code,
        })
    }
}

impl line::Pins for Verilated {
    fn cycle(&mut self, reset: bool, rx: bool) -> bool {
        // SAFETY: `system` is alive and borrowed by nobody else.
        unsafe { (self.cycle)(self.system.as_ptr(), reset.into(), rx.into()) != 0 }
    }
}

impl Drop for Verilated {
    fn drop(&mut self) {
        // SAFETY: `system` came from `create` of the same library and is not used after this.
        unsafe { (self.destroy)(self.system.as_ptr()) };
    }
}

/// A serial port of this machine.
struct Serial {
    port: Box<dyn serialport::SerialPort>,
    began: Instant,
}

impl ByteStream for Serial {
    type Error = io::Error;

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.port.write_all(bytes)
    }

    fn read(&mut self, bytes: &mut [u8], wait_us: u64) -> io::Result<usize> {
        let wait = Duration::from_micros(wait_us);
        self.port.set_timeout(wait).map_err(io::Error::from)?;
        match self.port.read(bytes) {
            // A port that is gone reads as empty at once.
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(0),
            other => other,
        }
    }

    fn now_us(&mut self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Runs `board`; `print` writes a line.
///
/// # Errors
/// Whether the input is at fault (or else the board), and one sentence.
pub fn board(args: &BoardArgs, print: &mut dyn FnMut(&str)) -> Result<(), (bool, String)> {
    let board = boards::board(&args.board).map_err(|e| (true, e))?;
    match &args.port {
        Some(name) => {
            let baud = args.baud.unwrap_or(board.baud as u32);
            let port = serialport::new(name, baud)
                .open()
                .map_err(|e| (true, format!("{name}: {e}")))?;
            let serial = Serial {
                port,
                began: Instant::now(),
            };
            talk(serial, Line::default(), name, args.job, print).map_err(|e| (false, e))
        }
        None => {
            let hertz = board.hertz;
            let pins = Verilated::new(hertz, line::DIVIDER).map_err(|e| (true, e))?;
            let port = line::Port::new(pins, hertz, line::DIVIDER);
            let line = Line {
                answer_us: 1000,
                tries: 2,
            };
            talk(port, line, "the simulated board", args.job, print).map_err(|e| (false, e))
        }
    }
}

fn talk<S: ByteStream>(
    stream: S,
    line: Line,
    name: &str,
    job: Job,
    print: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let mut bridge = Bridge::<S, true>::connect(stream, line).map_err(|(_, error)| match error {
        ConnectError::Access(error) => format!(
            "{name}: no board answers ({error:?}): is its bitstream loaded, and is this its second port?"
        ),
        ConnectError::Stranger(word) => {
            format!("{name}: what answers says {word:#018x}, which is no Portcullis board")
        }
        other => format!("{name}: a board that cannot be used: {other:?}"),
    })?;
    match job {
        Job::Identify => {
            print(&format!("{name}: a Portcullis demonstration system"));
            print(&format!("clock      {} Hz", bridge.clock_hz()));
            print(&format!("round trip {} us", bridge.round_trip_us()));
        }
        Job::Registers => {
            for register in REGISTERS.iter().filter(|r| r.count == 1) {
                let low = bridge.read32(register.offset);
                let high = match register.width {
                    8 => bridge.read32(register.offset + 4),
                    _ => Ok(0),
                };
                let value = low
                    .and_then(|low| Ok(u64::from(high?) << 32 | u64::from(low)))
                    .map_err(|e| format!("{name}: {}: {e:?}", register.name))?;
                print(&format!("{:<16} {value:#018x}", register.name));
            }
        }
        Job::SelfTest => {
            selftest::run(bridge, &mut |step| print(&format!("passed: {step}")))
                .map_err(|e| format!("{name}: self-test: {e}"))?;
            print("the self-test has passed");
        }
    }
    Ok(())
}
