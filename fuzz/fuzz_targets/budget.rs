#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| mcp_blocking::fuzzing::budget(text));
