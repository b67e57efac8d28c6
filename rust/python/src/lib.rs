//! The extension module `nucleus_unet._core`: checks arguments, releases the GIL, maps errors, nothing else.

use pyo3::prelude::*;

mod arrays;
mod border;
mod errors;
mod group;

#[pymodule]
mod _core {
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    use crate::group::{group, group_margin};
}
