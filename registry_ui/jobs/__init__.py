"""Background jobs: the queue, the schedule, and the tasks of the worker."""
