//! `nucleus_kernels::shape` for Python, file by file.

pub mod background;
pub mod contour;
pub mod intensity;
pub mod measure;
pub mod moments;
pub mod simplify;
