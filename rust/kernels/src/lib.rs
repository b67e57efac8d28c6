//! Kernels of nucleus-unet in pure Rust. They take label images, masks and network outputs as arrays; they know nothing of Python.
//!
//! A *label image* is a `(H, W)` array of `u32`: 0 for background and one number for each nucleus. Every kernel gives the
//! same result at any number of threads.
#![forbid(unsafe_code)]

pub mod blend;
mod error;
pub mod geometry;
pub mod group;
pub mod interrupt;
pub mod labels;
pub mod levels;
pub mod maps;
pub mod mask_png;
pub mod merge;
pub mod octave;
pub mod resample;
pub mod rle;
mod runs;
pub mod shape;

pub use error::Error;
