//! `nucleus_kernels::labels::overlap` for Python.

use nucleus_kernels::labels::overlap::{self, Instances};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::arrays::column;
use crate::border;

type Column<'py, T> = Bound<'py, PyArray1<T>>;

/// Labels and areas of the instances of one image.
type Areas<'py> = (Column<'py, u32>, Column<'py, i64>);

/// The places of the instances of each pair, in the first and in the second image, and the number of shared pixels.
type Pairs<'py> = (Column<'py, isize>, Column<'py, isize>, Column<'py, i64>);

#[pyfunction]
#[pyo3(signature = (a, b, *, threads=None))]
pub fn overlaps<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, u32>,
    b: PyReadonlyArray2<'py, u32>,
    #[pyo3(from_py_with = border::threads)] threads: Option<usize>,
) -> PyResult<(Areas<'py>, Areas<'py>, Pairs<'py>)> {
    let (a, b) = (border::label_image(&a)?, border::label_image(&b)?);
    let table = border::run(py, threads, a.len(), || overlap::overlaps(a, b))?;
    let places = |image: usize| column(py, &table.pairs, |pair| pair[image] as isize);
    let pairs = (
        places(0),
        places(1),
        column(py, &table.pixels, |&pixels| pixels as i64),
    );
    Ok((areas(py, table.a), areas(py, table.b), pairs))
}

fn areas(py: Python<'_>, instances: Instances) -> Areas<'_> {
    let areas = column(py, &instances.areas, |&area| area as i64);
    (instances.labels.into_pyarray(py), areas)
}
