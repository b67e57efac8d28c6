//! The earlier `simplify_ring`, which compares all edges again after each split: an oracle for the one that uses a grid.

use nucleus_kernels::Error;
use nucleus_kernels::shape::contour::Vertex;

/// Keep some vertices of a closed, simple ring, such that the ring through them is simple and every vertex left out is at
/// most `tolerance` from the edge that took its place. So no point of either ring is further than that from the other's
/// edge there.
///
/// The first vertex stays.
///
/// # Errors
///
/// If the tolerance is negative or the ring is open, too short or not simple.
pub fn simplify_ring(ring: &[Vertex], tolerance: f64) -> Result<Vec<Vertex>, Error> {
    if tolerance.is_nan() || tolerance < 0.0 {
        let message = format!("tolerance: expected 0 or more pixels, got {tolerance}");
        return Err(Error::Setting(message));
    }
    let not_a_ring = |got: &str| {
        Err(Error::Data(format!(
            "ring: expected at least 4 vertices, the last one equal to the first, got {got}"
        )))
    };
    if ring.len() < 4 {
        return not_a_ring(&format!("{} vertices", ring.len()));
    }
    if ring.first() != ring.last() {
        return not_a_ring("an open ring");
    }
    // Two anchors make two lines of the ring.
    let away = |place: &usize| squared_length(ring[0], ring[*place]);
    let far = (1..ring.len() - 1).max_by_key(away).unwrap_or(1);
    let mut kept = vec![0];
    keep_between(ring, 0, far, tolerance, &mut kept);
    kept.push(far);
    keep_between(ring, far, ring.len() - 1, tolerance, &mut kept);
    kept.push(ring.len() - 1);
    while let Some((one, other)) = crossing(ring, &kept) {
        split(ring, &mut kept, one, other)?;
    }
    Ok(kept.into_iter().map(|place| ring[place]).collect())
}

/// Add the vertices between two that are to stay, ascending. Without recursion, which a long ring might take too deep.
fn keep_between(ring: &[Vertex], from: usize, to: usize, tolerance: f64, kept: &mut Vec<usize>) {
    let mut ends = vec![to];
    let mut start = from;
    while let Some(&end) = ends.last() {
        match furthest(ring, start, end) {
            Some((place, distance)) if distance > tolerance => ends.push(place),
            _ => {
                ends.pop();
                if end != to {
                    kept.push(end);
                }
                start = end;
            }
        }
    }
}

/// The vertex between two that is furthest from the edge that joins them, and its distance.
fn furthest(ring: &[Vertex], from: usize, to: usize) -> Option<(usize, f64)> {
    let distance = |place: usize| distance_to_edge(ring[place], ring[from], ring[to]);
    (from + 1..to)
        .map(|place| (place, distance(place)))
        .max_by(|one, other| one.1.total_cmp(&other.1))
}

fn distance_to_edge(point: Vertex, from: Vertex, to: Vertex) -> f64 {
    let [x, y] = difference(from, point);
    let [along_x, along_y] = difference(from, to);
    let length = along_x * along_x + along_y * along_y;
    let share = if length > 0.0 {
        ((x * along_x + y * along_y) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (x - share * along_x).hypot(y - share * along_y)
}

fn difference(from: Vertex, to: Vertex) -> [f64; 2] {
    [0, 1].map(|axis| f64::from(to[axis]) - f64::from(from[axis]))
}

fn squared_length(from: Vertex, to: Vertex) -> i128 {
    let along = |axis: usize| i128::from(to[axis]) - i128::from(from[axis]);
    along(0) * along(0) + along(1) * along(1)
}

/// Two edges, by the places of their first vertices in `kept`, that meet where they must not; a sweep along x finds them.
fn crossing(ring: &[Vertex], kept: &[usize]) -> Option<(usize, usize)> {
    let edge = |place: usize| [ring[kept[place]], ring[kept[place + 1]]];
    let count = kept.len() - 1;
    if count < 3 {
        return Some((0, 1));
    }
    let side = |place: usize, end: fn(i32, i32) -> i32| {
        let [from, to] = edge(place);
        end(from[0], to[0])
    };
    let mut by_left: Vec<usize> = (0..count).collect();
    by_left.sort_unstable_by_key(|&place| (side(place, i32::min), place));
    for (index, &one) in by_left.iter().enumerate() {
        let right = side(one, i32::max);
        let reached = by_left[index + 1..]
            .iter()
            .take_while(|&&other| side(other, i32::min) <= right);
        for &other in reached {
            let (first, second) = (one.min(other), one.max(other));
            let meet = if second - first == 1 {
                folds_back(edge(first), edge(second)[1])
            } else if first == 0 && second == count - 1 {
                folds_back(edge(second), edge(first)[1])
            } else {
                touch(edge(first), edge(second))
            };
            if meet {
                return Some((first, second));
            }
        }
    }
    None
}

/// Whether an edge that starts where another ends goes back over it.
fn folds_back([from, corner]: [Vertex; 2], to: Vertex) -> bool {
    let back = |axis: usize| {
        (i128::from(from[axis]) - i128::from(corner[axis]))
            * (i128::from(to[axis]) - i128::from(corner[axis]))
    };
    turn(from, corner, to) == 0 && back(0) + back(1) >= 0
}

/// Whether two edges have a point in common.
fn touch([a, b]: [Vertex; 2], [c, d]: [Vertex; 2]) -> bool {
    let turns = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)].map(i128::signum);
    if turns[0] * turns[1] < 0 && turns[2] * turns[3] < 0 {
        return true;
    }
    (turns[0] == 0 && is_between(c, a, b))
        || (turns[1] == 0 && is_between(d, a, b))
        || (turns[2] == 0 && is_between(a, c, d))
        || (turns[3] == 0 && is_between(b, c, d))
}

/// Twice the signed area of a triangle, exactly.
fn turn(a: Vertex, b: Vertex, c: Vertex) -> i128 {
    let along = |to: Vertex, axis: usize| i128::from(to[axis]) - i128::from(a[axis]);
    along(b, 0) * along(c, 1) - along(b, 1) * along(c, 0)
}

/// Whether a point on the line through two others lies between them.
fn is_between(point: Vertex, a: Vertex, b: Vertex) -> bool {
    (0..2).all(|axis| (a[axis].min(b[axis])..=a[axis].max(b[axis])).contains(&point[axis]))
}

/// Put the furthest vertex back into each of two edges that leave any out.
fn split(ring: &[Vertex], kept: &mut Vec<usize>, one: usize, other: usize) -> Result<(), Error> {
    let (vertices, mut changed) = ((kept[one], kept[other]), false);
    // The later first, so that the place of the earlier stays what it is.
    for place in [other, one] {
        if let Some((vertex, _)) = furthest(ring, kept[place], kept[place + 1]) {
            kept.insert(place + 1, vertex);
            changed = true;
        }
    }
    if changed {
        Ok(())
    } else {
        Err(Error::Data(format!(
            "ring: expected no edge to cross or touch another, but those from vertices {} and {} do",
            vertices.0, vertices.1
        )))
    }
}
