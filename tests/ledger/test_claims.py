from tests.ledger.world import World, ids_of


def test_x(world: World) -> None:
    ids = world.items(3)
    c = world.take()
    assert ids_of(c) == ids
    world.settle(c)
    world.finish(c, stored=3)
    print(world.row(), world.attempts(ids[0]))
