"""Search spaces in the words of the package ConfigSpace: taken over from there, and said there."""
