//! Kernels that describe each nucleus of a label image: its measurements, its moments and its outline.

pub mod background;
pub mod contour;
mod hull;
pub mod intensity;
pub mod measure;
pub mod moments;
pub mod simplify;
