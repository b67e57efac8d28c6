//! Kernels that make label images from images and label images, or that compare two label images.

pub(crate) mod by_label;
pub mod components;
pub mod distance;
pub mod expand;
pub mod fill;
pub mod filter;
pub mod overlap;
pub mod relabel;
pub mod resample;
pub mod runs;
pub mod smooth;
pub mod watershed;
