//! Outlines in the formats of geographic software: well-known binary and `GeoJSON`.

pub mod geojson;
pub mod neighbours;
pub mod wkb;
