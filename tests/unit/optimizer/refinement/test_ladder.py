from evo_moo.optimizer.refinement.ladder import Ladder, Step
from evo_moo.problem.goals import Goals
from evo_moo.problem.points import numbered

GOALS = Goals.declared({"loss": "min", "size": "min"}, {})


def test_stopped_training_gives_back_its_unused_cost():
    ladder = Ladder(GOALS, [2, 6], {"size"}, continues=True)
    for candidate in range(1, 5):
        ladder.end(ladder.begin(Step(candidate)), numbered((), {"loss": float(candidate), "size": 3.0 * candidate}))
    for candidate in range(1, 4):
        ladder.end(
            ladder.begin(Step(candidate, 1, 0, candidate)),
            numbered((), {"loss": float(candidate), "size": 3.0 * candidate}),
        )
    assert ladder.begin(Step(4, 1, 0, 4)) == 8 and ladder.is_awaited(8)
    assert ladder.affords(5) and not ladder.affords(4)  # spent are 4 * 2 + 4 * 4 epochs, and the next takes 2
    ladder.stop(8, {"loss": 7.0, "size": 12.0}, 0.25)
    assert ladder.affords(4)
    assert ladder.standing(4).expected == {"loss": 7.0, "size": 12.0}
    assert ladder.stopped_on(1) == [8] and 8 not in ladder.compared(1) and ladder.awaited() == []
    again = ladder.loaded(ladder.dump(with_results=True))
    assert again.affords(4) and not again.awaited() and again.compared(1) == ladder.compared(1)
    assert [again.standing(candidate) for candidate in range(1, 5)] == [ladder.standing(c) for c in range(1, 5)]


def test_promoted_evaluation_waits_no_more():
    ladder = Ladder(GOALS, [2, 6], {"size"}, continues=True)
    for candidate in (1, 2):
        ladder.end(ladder.begin(Step(candidate)), numbered((), {"loss": 1.0, "size": 1.0}))
    ladder.end(ladder.begin(Step(3)), None)
    assert ladder.waiting(0, [1, 2, 3]) == {1, 2} and ladder.standing(3).is_barred
    ladder.plan([Step(2, 1, 0, 2)])
    assert ladder.waiting(0, [1, 2, 3]) == {1} and ladder.sources() == [2] and not ladder.is_done(2)
    assert not ladder.is_awaited(0) and not ladder.is_awaited(4)
    assert ladder.begin(ladder.next_planned()) == 4 and ladder.standing(2).is_awaited and ladder.awaited() == [4]
