"""``python -m evo_moo`` is the command ``evo-moo``."""

from evo_moo.cli.main import main

if __name__ == "__main__":
    main()
