"""Networks conditioned on a preference: one training, a whole front of trade-offs.

Ruchte and Grabocka, "Scalable Pareto Front Approximation for Deep Multi-Objective Learning" (COSMOS), ICDM 2021. A
preference weighs the losses; each batch is trained under another one, and afterwards the network answers any:

    trained = train_conditioned(lambda: ConditionedMLP(88, 2), samples, [bce, eo_rate], Settings(epochs=20), seed=1)
    model = ConditionedModel(trained.network, ray_set, metrics)    # what was measured along the rays
    model.at(0.8).network(rows)                                    # the knob: 0.8 for the first loss, 0.2 for the other
"""
