"""Each rule's next time is kept over restarts, and changes with its plan."""

from __future__ import annotations

from gurney.ledger import schedules
from tests.ledger.world import World


def rows(world: World) -> dict[str, dict[str, object]]:
    with world.ledger.read() as conn:
        return schedules.schedules(conn)


def test_a_rule_keeps_its_time_until_its_plan_changes(world: World) -> None:
    keep = lambda plan, at: world.ledger.transact(schedules.keep, {"a": (plan, at)})  # noqa: E731 - said three times
    keep("0 20 * * *", 100.0)
    keep("0 20 * * *", 900.0)
    assert rows(world)["a"]["due_at"] == 100.0, "what was missed is to be caught up with"
    keep("0 21 * * *", 500.0)
    assert rows(world)["a"]["due_at"] == 500.0


def test_a_rule_that_is_gone_is_forgotten(world: World) -> None:
    world.ledger.transact(schedules.keep, {"a": ("x", 1.0), "b": ("x", 1.0)})
    world.ledger.transact(schedules.keep, {"b": ("x", 1.0)})
    assert list(rows(world)) == ["b"]


def test_what_was_put_off_is_tried_again_and_what_is_done_goes_to_the_next(world: World) -> None:
    world.ledger.transact(schedules.keep, {"a": ("x", 100.0)})
    world.ledger.transact(schedules.put_off, "a", 400.0, "archive: refused")
    row = rows(world)["a"]
    assert (row["due_at"], row["look_at"], row["tries"], row["words"]) == (100.0, 400.0, 1, "archive: refused")
    with world.ledger.write() as tx:
        schedules.done(tx, "a", 410.0, 1000.0, patients=2, retrievals=3, words="")
    row = rows(world)["a"]
    assert (row["due_at"], row["look_at"], row["tries"], row["done_at"]) == (1000.0, 1000.0, 0, 410.0)
    assert (row["patients"], row["retrievals"], row["words"]) == (2, 3, "")
