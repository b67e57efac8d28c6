//! Outlines as the features of `GeoJSON` (RFC 7946) that `QuPath` reads as detections or cells.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::geometry::wkb::{self, Geometry, WkbError};

/// The class of a nucleus without one, as JSON.
pub const UNCLASSIFIED: &str = r#"{"name":"Nucleus","color":[255,200,0]}"#;

/// The content of the feature of a nucleus.
#[derive(Debug, Clone, Copy)]
pub struct Detection<'a> {
    /// The outline as well-known binary in the form of [`wkb::encode`].
    pub outline: &'a [u8],
    /// The area in pixels.
    pub area: i64,
    /// The mean intensity. Like probability and quality, it is left out if it is not finite, as JSON has no such numbers.
    pub intensity: f64,
    /// The probability of the nucleus.
    pub probability: f32,
    /// The estimated quality of the nucleus.
    pub quality: f32,
    /// The class as `QuPath` has it, in JSON.
    pub classification: &'a str,
    /// The outline of the cell around the nucleus, in the same form, if there is one.
    pub cell: Option<&'a [u8]>,
    /// Names of further measurements as JSON strings.
    pub names: &'a [String],
    /// Their values. What is not finite is left out.
    pub values: &'a [f64],
}

/// Write the feature of a detection. Its id is the version 5 UUID of its first vertex `x,y` in a namespace.
///
/// # Errors
/// If the outline is not in the form of [`wkb::encode`].
pub fn feature(detection: &Detection<'_>, namespace: Uuid) -> Result<String, WkbError> {
    let nucleus = wkb::geometry(detection.outline)?;
    let cell = detection.cell.map(wkb::geometry).transpose()?;
    let [x, y] = nucleus.first;
    let id = Uuid::new_v5(&namespace, format!("{x},{y}").as_bytes());
    let shape = |geometry: &Geometry| {
        let (kind, coordinates) = (geometry.kind, &geometry.coordinates);
        format!(r#"{{"type":"{kind}","coordinates":{coordinates}}}"#)
    };
    let (object, geometry, inner) = match &cell {
        None => ("detection", shape(&nucleus), String::new()),
        Some(cell) => (
            "cell",
            shape(cell),
            format!(r#""nucleusGeometry":{},"#, shape(&nucleus)),
        ),
    };
    let mut text = String::with_capacity(geometry.len() + inner.len() + 384);
    let written = write!(
        text,
        r#"{{"type":"Feature","id":"{id}","geometry":{geometry},{inner}"properties":{{"objectType":"{object}","#
    )
    .and_then(|()| write_measurements(&mut text, detection));
    written.expect("memory takes text");
    Ok(text)
}

fn write_measurements(text: &mut String, detection: &Detection<'_>) -> std::fmt::Result {
    let (area, class) = (detection.area, detection.classification);
    write!(
        text,
        r#""classification":{class},"measurements":{{"Area px^2":{area}"#
    )?;
    for (name, value) in [
        ("Mean intensity", detection.intensity),
        ("Probability", detection.probability.into()),
        ("Quality", detection.quality.into()),
    ] {
        if value.is_finite() {
            write!(text, r#","{name}":{:?}"#, rounded(value))?;
        }
    }
    for (name, &value) in detection.names.iter().zip(detection.values) {
        if value.is_finite() {
            write!(text, ",{name}:{:?}", shortened(value))?;
        }
    }
    text.write_str("}}}")
}

/// The number rounded to four decimals.
fn rounded(number: f64) -> f64 {
    format!("{number:.4}")
        .parse()
        .expect("a number's own digits")
}

/// The number rounded to six significant digits.
fn shortened(number: f64) -> f64 {
    format!("{number:.5e}")
        .parse()
        .expect("a number's own digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::contour::Polygon;

    fn written(intensity: f64) -> String {
        let exterior = vec![[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]];
        let holes = Vec::new();
        let detection = Detection {
            outline: &wkb::encode(&[Polygon { exterior, holes }], [10, 20]),
            area: 1,
            intensity,
            probability: 0.912_345_7,
            quality: 0.75,
            classification: UNCLASSIFIED,
            cell: None,
            names: &[],
            values: &[],
        };
        feature(&detection, Uuid::NAMESPACE_URL).unwrap()
    }

    #[test]
    fn a_cell_tells_both_outlines_its_class_and_further_measurements() {
        let pixel = Polygon {
            exterior: vec![[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]],
            holes: Vec::new(),
        };
        let (outline, cell) = (
            wkb::encode(std::slice::from_ref(&pixel), [1, 2]),
            wkb::encode(&[pixel], [5, 6]),
        );
        let detection = Detection {
            outline: &outline,
            area: 1,
            intensity: f64::NAN,
            probability: 0.5,
            quality: f32::NAN,
            classification: r#"{"name":"Tumor"}"#,
            cell: Some(&cell),
            names: &["\"a\"".to_owned(), "\"b\"".to_owned()],
            values: &[1_234.567_89, f64::NAN],
        };
        let text = feature(&detection, Uuid::NAMESPACE_URL).unwrap();
        assert!(
            text.ends_with(concat!(
                r#""geometry":{"type":"Polygon","coordinates":[[[6,6],[6,7],[5,7],[5,6],[6,6]]]},"#,
                r#""nucleusGeometry":{"type":"Polygon","coordinates":[[[2,2],[2,3],[1,3],[1,2],[2,2]]]},"#,
                r#""properties":{"objectType":"cell","classification":{"name":"Tumor"},"#,
                r#""measurements":{"Area px^2":1,"Probability":0.5,"a":1234.57}}}"#,
            )),
            "{text}"
        );
    }

    #[test]
    fn a_feature_tells_id_outline_and_measurements() {
        assert_eq!(
            written(128.0),
            concat!(
                // uuid.uuid5(uuid.NAMESPACE_URL, "11,20") in Python
                r#"{"type":"Feature","id":"3bb91230-eea9-5ac3-a07c-e985f0207da3","#,
                r#""geometry":{"type":"Polygon","coordinates":[[[11,20],[11,21],[10,21],[10,20],[11,20]]]},"#,
                r#""properties":{"objectType":"detection","classification":{"name":"Nucleus","color":[255,200,0]},"#,
                r#""measurements":{"Area px^2":1,"Mean intensity":128.0,"Probability":0.9123,"Quality":0.75}}}"#,
            )
        );
    }

    #[test]
    fn an_intensity_beyond_all_numbers_is_left_out() {
        for intensity in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let text = written(intensity);
            assert!(text.contains(r#""Area px^2":1,"Probability""#), "{text}");
        }
    }

    #[test]
    fn numbers_have_four_decimals_at_most() {
        for (number, shown) in [
            (0.0, "0.0"),
            (2.0 / 3.0, "0.6667"),
            (-7.25, "-7.25"),
            (1e300, "1e300"),
        ] {
            assert_eq!(format!("{:?}", rounded(number)), shown);
        }
    }
}
