//! Virtual environments under the target directory, for steps whose tools come from PyPI.

use portcullis_board::tools::{read, target};
use std::path::{Path, PathBuf};

/// The `bin` folder of the environment `name`, with what the file `requirements` lists, one package a line.
pub fn environment(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let wanted = read(requirements)?;
    let packages: Vec<&str> = wanted.split_whitespace().collect();
    portcullis_board::python::environment(&target().join(name), &packages)
}
