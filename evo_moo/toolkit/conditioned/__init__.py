"""Networks conditioned on a preference: one training, a whole front of trade-offs.

Ruchte and Grabocka, "Scalable Pareto Front Approximation for Deep Multi-Objective Learning" (COSMOS), ICDM 2021. A
preference weighs the losses; each batch is trained under another one, and afterwards the network answers any.
"""
