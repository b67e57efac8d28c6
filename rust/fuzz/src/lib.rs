//! What the fuzz targets share.

use std::sync::Once;

/// Keep all work on this thread: handing tiny images to others and waiting for them would take most of the time.
pub fn stay_on_this_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
        let pool = pool.use_current_thread();
        pool.build_global().expect("no work was done yet");
    });
}
