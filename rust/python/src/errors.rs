//! The Python classes that kernel errors become.

pyo3::import_exception!(nucleus_unet.errors, MaskError);
pyo3::import_exception!(nucleus_unet.errors, SettingsError);
