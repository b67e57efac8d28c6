//! The error of kernels. Outlines in bytes have their own, as it names a byte: `WkbError`.

use std::fmt::Debug;

/// Why a kernel refuses its arguments. The text names the argument, and says what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A setting is out of its range.
    #[error("{0}")]
    Setting(String),
    /// An image, a mask or another array is not as expected.
    #[error("{0}")]
    Data(String),
}

/// Refuse an array of another shape than expected. `expected` says in words which shape that is.
pub(crate) fn check_shape<Shape: PartialEq + Debug>(
    name: &str,
    expected: &str,
    shape: Shape,
    got: Shape,
) -> Result<(), Error> {
    if got == shape {
        return Ok(());
    }
    let message = format!("{name}: expected {expected} {shape:?}, got {got:?}");
    Err(Error::Data(message))
}
