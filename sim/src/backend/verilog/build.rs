//! Makes the shared library of a verilated core: Verilog, through Verilator, through the C++ compiler, into a cache.
//!
//! A library's file name carries a hash of everything that it is made of, so a file that exists is never out of date.
//! It is built in a directory of its own and then renamed into its place: several processes may build the same one at
//! the same time, and none sees half a file.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const VERILATOR: &str = "verilator";
const COMPILER: &str = "c++";
/// Prefix of the generated files and name of the generated class: a shim says `Vcore`.
const PREFIX: &str = "Vcore";

/// Registers without an `initial` block start at 0, as they do in the Rust HDL.
const VERILATOR_FLAGS: [&str; 9] = [
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "0",
    "--noassert",
    "-Wno-fatal",
    "--Mdir",
];
const COMMON_FLAGS: [&str; 8] = [
    "-std=gnu++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-w",
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVL_USER_FATAL=1",
];
/// What runs in every cycle.
const FAST_FLAGS: &str = "-O2";
/// What runs once or hardly ever: start, runtime, waves.
const SLOW_FLAGS: &str = "-O1";

/// One library.
#[derive(Debug)]
pub struct Recipe {
    verilog: String,
    module: String,
    shim: &'static str,
    traced: bool,
    path: PathBuf,
}

impl Recipe {
    /// The library of `verilog` with top module `module` behind the C interface in `shim`, able to record waves if
    /// `traced`.
    ///
    /// # Errors
    /// A tool is missing, or there is no place for the library.
    pub fn new(
        verilog: String,
        module: String,
        shim: &'static str,
        traced: bool,
    ) -> Result<Self, String> {
        let mut hasher = DefaultHasher::new();
        (&verilog, &module, traced, shim).hash(&mut hasher);
        (VERILATOR_FLAGS, COMMON_FLAGS, FAST_FLAGS, SLOW_FLAGS).hash(&mut hasher);
        (env::consts::OS, env::consts::ARCH).hash(&mut hasher);
        tools()?.hash(&mut hasher);
        let name = format!(
            "{module}-{:016x}.{}",
            hasher.finish(),
            env::consts::DLL_EXTENSION
        );
        Ok(Self {
            path: cache()?.join(name),
            verilog,
            module,
            shim,
            traced,
        })
    }

    /// Where the library is or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Builds the library and puts it in its place, whether there is one already or not.
    ///
    /// # Errors
    /// A tool refuses its input or a file cannot be written.
    pub fn build(&self) -> Result<(), String> {
        static BUILDS: AtomicU32 = AtomicU32::new(0);
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        let scratch = self
            .path
            .with_file_name(format!(".build-{}-{number}", std::process::id()));
        if io::stderr().is_terminal() {
            eprintln!(
                "building {} with Verilator, once for this version of the hardware",
                self.path.display()
            );
        }
        let built = self.build_in(&scratch);
        // A scratch directory that cannot be removed does no harm.
        let _ = fs::remove_dir_all(&scratch);
        built.map_err(|error| format!("back end verilog: {error}"))
    }

    fn build_in(&self, scratch: &Path) -> Result<(), String> {
        let named = |error: io::Error| format!("{}: {error}", scratch.display());
        // What an earlier process of this id left behind when it was killed.
        let _ = fs::remove_dir_all(scratch);
        fs::create_dir_all(scratch).map_err(named)?;
        fs::write(scratch.join("core.v"), &self.verilog).map_err(named)?;
        fs::write(scratch.join("shim.cpp"), self.shim).map_err(named)?;

        let mut verilator = Command::new(VERILATOR);
        verilator.args(VERILATOR_FLAGS).arg(".");
        verilator.args(["--prefix", PREFIX, "--top-module", &self.module]);
        if self.traced {
            verilator.arg("--trace");
        }
        let mut verilator = Job::start(verilator.arg("core.v"), scratch, "verilator.log")?;
        verilator.finish()?;

        let include = runtime(scratch)?;
        let sources = sources(scratch).map_err(named)?;
        fs::write(scratch.join("fast.cpp"), sources.fast).map_err(named)?;
        fs::write(scratch.join("slow.cpp"), sources.slow).map_err(named)?;
        let mut fast = self.compiler(&include, FAST_FLAGS);
        let mut fast = Job::start(fast.arg("fast.cpp"), scratch, "fast.log")?;
        let mut slow = self.compiler(&include, SLOW_FLAGS);
        for part in &sources.runtime {
            slow.arg(include.join(part).with_extension("cpp"));
        }
        let slow = Job::start(slow.arg("slow.cpp"), scratch, "slow.log");
        // Both are waited for, so that nothing writes to the directory any more.
        let (fast, slow) = (fast.finish(), slow.and_then(|mut slow| slow.finish()));
        fast.and(slow)?;

        let mut link = Command::new(COMPILER);
        link.args(["-shared", "-pthread", "-o", "core.lib", "fast.o", "slow.o"]);
        for part in &sources.runtime {
            link.arg(Path::new(part).with_extension("o"));
        }
        Job::start(&mut link, scratch, "link.log")?.finish()?;
        fs::rename(scratch.join("core.lib"), &self.path).map_err(named)
    }

    fn compiler(&self, include: &Path, flags: &str) -> Command {
        let mut command = Command::new(COMPILER);
        command.args(COMMON_FLAGS).arg(flags);
        command.arg(format!("-DVM_TRACE={}", u8::from(self.traced)));
        command.arg(format!("-DVM_TRACE_VCD={}", u8::from(self.traced)));
        command.args(["-DVM_TRACE_FST=0", "-I.", "-I"]).arg(include);
        command.arg("-I").arg(include.join("vltstd")).arg("-c");
        command
    }
}

/// What is to be compiled.
struct Sources {
    /// What runs in every cycle, as one translation unit.
    fast: String,
    /// The rest of what Verilator has generated, as another.
    slow: String,
    /// The parts of Verilator's runtime that this design needs, by name.
    runtime: BTreeSet<String>,
}

fn sources(scratch: &Path) -> io::Result<Sources> {
    let mut names = BTreeSet::from(["shim.cpp".to_owned()]);
    for entry in fs::read_dir(scratch)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) && name.ends_with(".cpp") {
            names.insert(name);
        }
    }
    let is_slow = |name: &String| {
        let parts = ["__Slow.", "__Syms.", "__Trace_"];
        parts.iter().any(|part| name.contains(part))
    };
    let (slow, fast): (BTreeSet<_>, BTreeSet<_>) = names.into_iter().partition(is_slow);
    let unit = |names: &BTreeSet<String>| {
        let lines = names.iter().map(|name| format!("#include \"{name}\"\n"));
        lines.collect()
    };
    let makefile = fs::read_to_string(scratch.join(format!("{PREFIX}_classes.mk")))?;
    let words = makefile.split_whitespace();
    Ok(Sources {
        fast: unit(&fast),
        slow: unit(&slow),
        runtime: words
            .filter(|word| word.starts_with("verilated"))
            .map(str::to_owned)
            .collect(),
    })
}

/// The directory of Verilator's C++ runtime.
fn runtime(scratch: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new(VERILATOR);
    command.args(["--getenv", "VERILATOR_ROOT"]);
    let root = Job::start(&mut command, scratch, "root.log")?.finish()?;
    Ok(Path::new(root.trim()).join("include"))
}

/// The versions of the tools.
fn tools() -> Result<[String; 2], String> {
    let version = |program: &str| {
        let output = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            Ok(output) => Err(format!(
                "back end verilog: {program} --version: {}",
                output.status
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!(
                "back end verilog needs Verilator and a C++ compiler, but there is no `{program}`: \
                 run apt-get install -y --no-install-recommends verilator g++"
            )),
            Err(error) => Err(format!("back end verilog: cannot run {program}: {error}")),
        }
    };
    Ok([version(VERILATOR)?, version(COMPILER)?])
}

/// Whether the tools are there.
///
/// # Errors
/// One sentence that says which is not, and how to get it.
pub fn available() -> Result<(), String> {
    tools().map(|_| ())
}

/// The directory of the libraries: beside cargo's other products if this program is one of them, else the user's
/// cache. It is never a directory that others can write to, for what is in it gets executed.
fn cache() -> Result<PathBuf, String> {
    let beside = env::current_exe().ok().and_then(|program| {
        let target = program
            .ancestors()
            .skip(1)
            .find(|dir| dir.join("CACHEDIR.TAG").is_file())?;
        Some(target.join("verilated"))
    });
    if let Some(dir) = beside
        && fs::create_dir_all(&dir).is_ok()
    {
        return Ok(dir);
    }
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let user = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    let dir = user
        .ok_or("back end verilog has no place for its libraries: set XDG_CACHE_HOME")?
        .join("portcullis/verilated");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(dir)
}

/// A running tool. Its output goes to a file, which cannot fill up like a pipe.
struct Job {
    name: String,
    log: PathBuf,
    child: std::process::Child,
}

impl Job {
    fn start(command: &mut Command, dir: &Path, log: &str) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = dir.join(log);
        let failed = |error: io::Error| format!("cannot run {name}: {error}");
        let file = fs::File::create(&log).map_err(failed)?;
        let errors = file.try_clone().map_err(failed)?;
        let command = command.current_dir(dir).stdin(Stdio::null());
        let child = command
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name, log, child })
    }

    /// Waits for the end and returns what was printed; a failure is an error that quotes it.
    fn finish(&mut self) -> Result<String, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.name);
        let status: ExitStatus = self.child.wait().map_err(failed)?;
        let printed = fs::read(&self.log).map_err(failed)?;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        if status.success() {
            return Ok(printed);
        }
        let worst = printed
            .lines()
            .find(|line| line.to_lowercase().contains("error"));
        let worst = worst.or_else(|| printed.lines().last()).unwrap_or_default();
        Err(format!("{}: {status}: {worst}", self.name))
    }
}
