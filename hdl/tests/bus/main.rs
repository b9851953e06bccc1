//! The bus wrappers, each alone, against models of what is on both of their sides, with random waiting everywhere.

mod bench;
mod memory_master;
mod pick;
mod registers;
mod translate;
