//! Any bytes as well-known binary: refused, or converted to text with one vertex for every sixteen bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nucleus_kernels::geometry::wkb::geometry;

fuzz_target!(|wkb: &[u8]| {
    if let Ok(found) = geometry(wkb) {
        let text = found.coordinates;
        let commas = text.matches(',').count();
        assert!(wkb.len() >= 9 && text.starts_with('[') && text.ends_with(']'));
        assert!(text.contains(&format!("[{},{}]", found.first[0], found.first[1])));
        assert!(commas <= wkb.len() / 4);
    }
});
