"""What is written for people and programs: page, figures, exports, writers."""
