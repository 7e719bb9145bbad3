"""``python -m epymarl_mast`` is ``mast``."""

from epymarl_mast.cli import main

if __name__ == "__main__":
    main()
