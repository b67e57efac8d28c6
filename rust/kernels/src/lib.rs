//! Kernels of nucleus-unet that know nothing of Python: label images in, label images and tables out.
//!
//! A *label image* is a `(H, W)` array of `u32`, 0 for background and one number for each nucleus. Every
//! kernel gives the same result at any number of threads.
#![forbid(unsafe_code)]

pub mod blend;
mod by_label;
pub mod components;
pub mod contour;
pub mod distance;
pub mod expand;
pub mod fill;
pub mod filter;
pub mod geojson;
pub mod group;
pub mod interrupt;
pub mod maps;
pub mod mask_png;
pub mod measure;
pub mod merge;
pub mod overlap;
pub mod relabel;
pub mod rle;
mod runs;
pub mod shape;
pub mod simplify;
pub mod smooth;
pub mod watershed;
pub mod wkb;
