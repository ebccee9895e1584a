"""``python -m gurney_daemon`` is ``gurney``: how the supervisor starts its children, whatever is on PATH."""

from gurney_daemon.entry import main

main()
