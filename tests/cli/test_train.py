"""The options of ``nucleus-unet train`` become the configuration of the run."""

import pytest
from nucleus_unet.cli.train import _configure
from nucleus_unet.errors import SettingsError


def test_options_of_the_samples_change_what_is_given_and_nothing_else() -> None:
    default = _configure(None, None, network={}, augment={}, pretrained=None)
    config = _configure(None, None, network={}, augment={"any_size": 0.3, "pasted": 0.5}, pretrained=None)
    assert (config.augment.any_size, config.augment.pasted) == (0.3, 0.5)
    assert config.augment.negatives == default.augment.negatives
    assert (config.network, config.samples) == (default.network, default.samples)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_of_samples_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(SettingsError, match="any_size: expected 0 to 1"):
        _configure(None, None, network={}, augment={"any_size": share}, pretrained=None)
