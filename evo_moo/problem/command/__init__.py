"""How a program is run as an evaluation: its arguments, its configuration file, its process, what it prints."""
