"""The ``flask`` commands, a file for each group. They call the services that the pages call."""
