//! Decodes arbitrary texts as cursors, and arbitrary JSON as the content of one.
#![no_main]

use attendance_api::attendance::Cursor;

libfuzzer_sys::fuzz_target!(|text: &str| {
    use base64::Engine as _;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    for cursor in [text, json.as_str()].into_iter().filter_map(Cursor::decode) {
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }
});
