//! Outlines as well-known binary (OGC 06-103r4, little-endian), the format of `GeoParquet`, and as coordinates of `GeoJSON`.

use std::fmt::Write as _;

use thiserror::Error;

use crate::shape::contour::{Polygon, Ring, Vertex};

const LITTLE_ENDIAN: u8 = 1;
const POLYGON: u32 = 3;
const MULTIPOLYGON: u32 = 6;

/// The limit of the coordinates of an image.
const FARTHEST: f64 = 2_147_483_648.0;

/// Why bytes are not an outline.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum WkbError {
    /// There are fewer bytes than the counts require.
    #[error("the outline ends at byte {0}, too early")]
    Cut(usize),
    /// There are more bytes than the counts require.
    #[error("the outline should end at byte {0}, but goes on")]
    Long(usize),
    /// The geometry is of another kind or big-endian.
    #[error("expected a little-endian Polygon or MultiPolygon at byte {0}")]
    Kind(usize),
    /// A geometry has no piece or ring.
    #[error("expected at least one part before byte {0}, got none")]
    Empty(usize),
    /// A ring is not closed, leaves the edges of pixels, or does not turn at a vertex.
    #[error("expected a closed ring along rows and columns before byte {0}")]
    Ring(usize),
    /// A coordinate is not that of a pixel's corner.
    #[error("expected whole numbers from 0, below 2^31, as coordinates, got another at byte {0}")]
    Number(usize),
}

/// Encode one piece as a Polygon, several as a `MultiPolygon`; `corner` (x, y) is added to every vertex.
#[must_use]
pub fn encode(polygons: &[Polygon], corner: [i64; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if polygons.len() != 1 {
        header(&mut bytes, MULTIPOLYGON, polygons.len());
    }
    for polygon in polygons {
        header(&mut bytes, POLYGON, 1 + polygon.holes.len());
        for ring in std::iter::once(&polygon.exterior).chain(&polygon.holes) {
            encode_ring(&mut bytes, ring, corner);
        }
    }
    bytes
}

fn header(bytes: &mut Vec<u8>, kind: u32, count: usize) {
    bytes.push(LITTLE_ENDIAN);
    bytes.extend(kind.to_le_bytes());
    bytes.extend(counted(count));
}

fn encode_ring(bytes: &mut Vec<u8>, ring: &Ring, corner: [i64; 2]) {
    bytes.extend(counted(ring.len()));
    for vertex in ring {
        for (&at, start) in vertex.iter().zip(corner) {
            bytes.extend(((i64::from(at) + start) as f64).to_le_bytes());
        }
    }
}

fn counted(count: usize) -> [u8; 4] {
    u32::try_from(count)
        .expect("fewer corners than an image's 2^32 pixels")
        .to_le_bytes()
}

/// An outline in the form of `GeoJSON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// `Polygon` or `MultiPolygon`.
    pub kind: &'static str,
    /// The first vertex of the first ring.
    pub first: Vertex,
    /// The rings of a Polygon, or the polygons of a `MultiPolygon`, as JSON.
    pub coordinates: String,
}

/// Read an outline.
///
/// # Errors
/// If the bytes are not in the form of [`encode`].
pub fn geometry(wkb: &[u8]) -> Result<Geometry, WkbError> {
    let mut reader = Reader {
        bytes: wkb,
        at: 0,
        first: None,
    };
    let mut coordinates = String::with_capacity(wkb.len());
    let kind = match reader.header()? {
        (POLYGON, rings) => {
            reader.polygon(rings, &mut coordinates)?;
            "Polygon"
        }
        (MULTIPOLYGON, pieces) => {
            reader.list(pieces, &mut coordinates, |reader, text| {
                let start = reader.at;
                match reader.header()? {
                    (POLYGON, rings) => reader.polygon(rings, text),
                    _ => Err(WkbError::Kind(start)),
                }
            })?;
            "MultiPolygon"
        }
        _ => return Err(WkbError::Kind(0)),
    };
    if reader.at < wkb.len() {
        return Err(WkbError::Long(reader.at));
    }
    Ok(Geometry {
        kind,
        first: reader.first.expect("no part is empty"),
        coordinates,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    first: Option<Vertex>,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WkbError> {
        let found = self.bytes[self.at..]
            .first_chunk()
            .ok_or(WkbError::Cut(self.bytes.len()))?;
        self.at += N;
        Ok(*found)
    }

    /// The kind of a geometry and the number of its parts.
    fn header(&mut self) -> Result<(u32, u32), WkbError> {
        let start = self.at;
        if self.take::<1>()? != [LITTLE_ENDIAN] {
            return Err(WkbError::Kind(start));
        }
        Ok((self.count()?, self.count()?))
    }

    fn count(&mut self) -> Result<u32, WkbError> {
        self.take().map(u32::from_le_bytes)
    }

    /// Write `count` items between brackets.
    fn list(
        &mut self,
        count: u32,
        text: &mut String,
        mut item: impl FnMut(&mut Self, &mut String) -> Result<(), WkbError>,
    ) -> Result<(), WkbError> {
        if count == 0 {
            return Err(WkbError::Empty(self.at));
        }
        text.push('[');
        for number in 0..count {
            if number > 0 {
                text.push(',');
            }
            item(self, text)?;
        }
        text.push(']');
        Ok(())
    }

    fn polygon(&mut self, rings: u32, text: &mut String) -> Result<(), WkbError> {
        self.list(rings, text, |reader, text| {
            let vertices = reader.count()?;
            let mut ring = Ring::new();
            reader.list(vertices, text, |reader, text| {
                let [x, y] = [reader.whole_number()?, reader.whole_number()?];
                ring.push([x, y]);
                reader.first.get_or_insert([x, y]);
                write!(text, "[{x},{y}]").expect("memory takes text");
                Ok(())
            })?;
            if goes_along_pixels(&ring) {
                Ok(())
            } else {
                Err(WkbError::Ring(reader.at))
            }
        })
    }

    fn whole_number(&mut self) -> Result<i32, WkbError> {
        let start = self.at;
        let number = f64::from_le_bytes(self.take()?);
        if number.fract() == 0.0 && (0.0..FARTHEST).contains(&number) {
            Ok(number as i32)
        } else {
            Err(WkbError::Number(start))
        }
    }
}

/// Whether a ring is closed and alternates between rows and columns.
fn goes_along_pixels(ring: &Ring) -> bool {
    let turns = |before: Vertex, at: Vertex, after: Vertex| {
        (0..2).any(|axis| {
            before[axis] == at[axis]
                && before[1 - axis] != at[1 - axis]
                && at[1 - axis] == after[1 - axis]
                && at[axis] != after[axis]
        })
    };
    ring.len() > 4
        && ring.first() == ring.last()
        && turns(ring[ring.len() - 2], ring[0], ring[1])
        && ring.windows(3).all(|part| turns(part[0], part[1], part[2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(left: i32) -> Polygon {
        let right = left + 1;
        let exterior = vec![[right, 0], [right, 1], [left, 1], [left, 0], [right, 0]];
        Polygon {
            exterior,
            holes: Vec::new(),
        }
    }

    #[test]
    fn one_piece_is_a_polygon_and_several_are_its_list() {
        let one = geometry(&encode(&[square(0)], [10, 20])).unwrap();
        assert_eq!((one.kind, one.first), ("Polygon", [11, 20]));
        assert_eq!(
            one.coordinates,
            "[[[11,20],[11,21],[10,21],[10,20],[11,20]]]"
        );
        let two = geometry(&encode(&[square(0), square(4)], [0, 0])).unwrap();
        assert_eq!((two.kind, two.first), ("MultiPolygon", [1, 0]));
        let text = two.coordinates;
        assert!(
            text.starts_with("[[[[1,0],") && text.ends_with(",[5,0]]]]"),
            "{text}"
        );
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let whole = encode(&[square(0), square(4)], [0, 0]);
        for length in 0..whole.len() {
            assert_eq!(geometry(&whole[..length]), Err(WkbError::Cut(length)));
        }
        assert_eq!(
            geometry(&[&whole[..], &[0]].concat()),
            Err(WkbError::Long(whole.len()))
        );
        let with = |place: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            geometry(&bytes)
        };
        assert_eq!(with(0, 0), Err(WkbError::Kind(0)));
        assert_eq!(with(1, 7), Err(WkbError::Kind(0)));
        assert_eq!(with(10, 6), Err(WkbError::Kind(9)));
        assert_eq!(with(14, 0), Err(WkbError::Empty(18)));
        assert_eq!(with(22, 1), Err(WkbError::Number(22)));
        assert_eq!(with(37, 0x40), Err(WkbError::Ring(102)));
    }
}
