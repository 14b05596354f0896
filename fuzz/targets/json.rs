#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anki_syncd_fuzz::run("json", data));
