"""Differentiable architecture search for every preference and device in one run.

Sukthanker et al., "Multi-objective Differentiable Neural Architecture Search" (MODNAS), arXiv 2402.18213. A
hypernetwork maps a preference and the features of a device to logits of all decisions of an architecture; it is trained
on losses that are differentiable in the decisions' one-hots, and then answers any preference and device at once.
"""
