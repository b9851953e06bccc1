//! The register page for other tools, from the table that hardware and driver are made of: a C header, and an SVD file
//! of a configuration.

mod c;
mod svd;

pub use c::header;
pub use svd::svd;
