"""What several test modules share."""

import pytest

# Asserts of helpers show the values that they compare, as asserts of test modules do.
pytest.register_assert_rewrite(
    *(f"helpers.{name}" for name in ("commands", "grouping", "slides", "studies", "training"))
)
