//! The program on the command line.

mod command_line;
mod demo;
