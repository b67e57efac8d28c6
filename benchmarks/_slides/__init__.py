"""The parts of the slide benchmarks: what is drawn, who is measured, and how it is told."""
