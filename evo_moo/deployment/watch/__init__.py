"""The watch over a served model: what its log says against what its card promises."""
