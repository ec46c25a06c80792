//! The program `runsecrets-hook`: see `runsecrets::hook`.
#![no_main]
runsecrets::c_main!(runsecrets::hook::main);
