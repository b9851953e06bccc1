//! Steps, their times and the table at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

struct Step {
    name: String,
    outcome: Result<String, String>,
    time: Duration,
}

/// What has been run so far.
pub struct Report {
    steps: Vec<Step>,
    start: Instant,
}

impl Report {
    pub fn new() -> Self {
        Report {
            steps: vec![],
            start: Instant::now(),
        }
    }

    /// Runs one step, prints a line about it, and says whether it passed.
    pub fn step(&mut self, name: &str, run: impl FnOnce() -> Result<String, String>) -> bool {
        let start = Instant::now();
        let outcome = run();
        let time = start.elapsed();
        let (word, text) = match &outcome {
            Ok(text) => ("ok", text),
            Err(text) => ("FAILED", text),
        };
        println!(
            "{:<28} {word:<6} {:>6.1} s  {text}",
            name,
            time.as_secs_f64()
        );
        let passed = outcome.is_ok();
        self.steps.push(Step {
            name: name.into(),
            outcome,
            time,
        });
        passed
    }

    /// The table, and success if nothing failed.
    pub fn finish(self) -> ExitCode {
        let failed: Vec<&Step> = self.steps.iter().filter(|s| s.outcome.is_err()).collect();
        println!("\n{:<28} {:>8}  result", "step", "seconds");
        for s in &self.steps {
            let word = if s.outcome.is_ok() {
                "passed"
            } else {
                "failed"
            };
            println!("{:<28} {:>8.1}  {word}", s.name, s.time.as_secs_f64());
        }
        println!(
            "{:<28} {:>8.1}",
            "total",
            self.start.elapsed().as_secs_f64()
        );
        println!(
            "\n{} passed, {} failed",
            self.steps.len() - failed.len(),
            failed.len()
        );
        if failed.is_empty() && !self.steps.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
