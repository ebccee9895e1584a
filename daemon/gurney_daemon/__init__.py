"""The daemon: watcher, reconciler, supervisor and the command line."""
