"""The commands that carry a chosen member of a front to where it serves: build and verify."""
