"""``python -m zssd_cli``."""

from zssd_cli.app import main

if __name__ == "__main__":
    main()
