"""``python -m nucleus_unet``: the command line, as ``torchrun`` starts it in several processes."""

from nucleus_unet.cli import main

if __name__ == "__main__":
    main()
