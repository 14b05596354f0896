#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| anki_syncd_fuzz::run("host_key", data));
