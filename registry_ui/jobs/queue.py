"""The job queue. An outage of Redis is logged once, delays no request, and loses no work.

All work is stored in the database first, and the worker looks for stored work every minute. So a
job that can't be queued is only delayed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app
from huey import Huey, SqliteHuey
from huey.serializer import SignedSerializer
from huey.storage import RedisStorage
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from config import Config

WORKER = "worker"
HEARTBEAT_SECONDS = 5

logger = logging.getLogger(__name__)

#: Timeouts in seconds for connecting to Redis, and for its answer. The second timeout is longer
#: than the worker's blocking read, which takes one second.
CONNECT_TIMEOUT = 1.0
ANSWER_TIMEOUT = 2.0
#: Pause in seconds after Redis has failed, during which this process does not call Redis.
RETRY_INTERVAL = 5.0

T = TypeVar("T")


class QueueUnavailable(RedisError):
    """Redis was not called, because it failed less than RETRY_INTERVAL seconds ago."""


class RedisOutage:
    """Tracks whether Redis answers this process; logs the beginning and the end of an outage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None
        self._failed_at = 0.0
        #: Class name of the last error, "" before the first one.
        self.reason = ""

    @property
    def seconds_to_wait(self) -> float:
        """Seconds until Redis can be called again after a failure; 0 if it can be called now."""
        if self._since is None:
            return 0.0
        return max(0.0, self._failed_at + RETRY_INTERVAL - time.monotonic())

    def run(self, call: Callable[[], T]) -> T:
        """Run a function that calls Redis, return its result, and record whether Redis answered.

        Raises:
            RedisError: Redis did not answer, or answered with an error.
        """
        started_at = time.monotonic()
        try:
            result = call()
        except RedisError as error:
            self._record_failure(error)
            raise
        if self._since is not None:
            self._record_recovery(started_at)
        return result

    def _record_failure(self, error: RedisError) -> None:
        with self._lock:
            self._failed_at = time.monotonic()
            self.reason = type(error).__name__
            if self._since is not None:
                return
            self._since = self._failed_at
        logger.warning(
            "Redis does not answer (%s). Work is stored, and starts when Redis answers again.",
            type(error).__name__,
        )

    def _record_recovery(self, started_at: float) -> None:
        """Record that Redis answered a call, unless the call began before Redis failed.

        While Redis stops, it still answers calls of other threads.
        """
        with self._lock:
            if self._since is None or started_at <= self._failed_at:
                return
            seconds, self._since = time.monotonic() - self._since, None
        logger.warning("Redis answers again after %.0f seconds.", seconds)


class ResilientRedisStorage(RedisStorage):  # type: ignore[misc]
    """Huey storage in Redis with short timeouts, which pauses while Redis does not answer."""

    def __init__(self, name: str, url: str) -> None:
        pool = ConnectionPool.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=ANSWER_TIMEOUT,
            # Replace a connection at once that Redis has closed, for example by a restart.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        super().__init__(name, connection_pool=pool)
        self.outage = RedisOutage()

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Add a job to the queue.

        Raises:
            RedisError: Redis does not answer. After a failure, this error is raised for
                up to RETRY_INTERVAL seconds without calling Redis.
        """
        self._require_no_pause()
        self.outage.run(lambda: super(ResilientRedisStorage, self).enqueue(data, priority))

    def dequeue(self) -> bytes | None:
        """Return the next job; None if none arrives in time, or Redis does not answer.

        After a failure of Redis, wait until it can be called again before asking for a job.
        """
        time.sleep(self.outage.seconds_to_wait)
        try:
            item = self.outage.run(lambda: self.conn.brpop(self.queue_key, self.read_timeout))
        except RedisError:
            return None
        return item[1] if item else None

    def read_schedule(self, ts: Any) -> list[bytes]:
        """Return the scheduled jobs that are due; an empty list if Redis does not answer."""
        if self.outage.seconds_to_wait:
            return []
        try:
            return self.outage.run(lambda: super(ResilientRedisStorage, self).read_schedule(ts))
        except RedisError:
            return []

    def peek_many(self, keys: list[str]) -> dict[str, bytes]:
        """Return the revocation markers of jobs; an empty dict if Redis does not answer.

        Huey reads the markers before and after each job. registry_ui never revokes a job, so an
        empty answer is correct, and a job that was received before an outage ends without an error.
        """
        return self._call_or_default(lambda: super(ResilientRedisStorage, self).peek_many(keys), {})

    def delete_data(self, key: str) -> bool:
        """Delete a revocation marker; return False if there is none, or Redis does not answer."""
        return self._call_or_default(
            lambda: super(ResilientRedisStorage, self).delete_data(key), False
        )

    def _call_or_default(self, call: Callable[[], T], default: T) -> T:
        """Return the result of a call to Redis; ``default`` if it fails, or failed a moment ago."""
        if self.outage.seconds_to_wait:
            return default
        try:
            return self.outage.run(call)
        except RedisError:
            return default

    def ping(self) -> None:
        """Check that Redis answers.

        Raises:
            RedisError: Redis does not answer. After a failure, this error is raised for
                up to RETRY_INTERVAL seconds without calling Redis.
        """
        self._require_no_pause()
        self.outage.run(self.conn.ping)

    def _require_no_pause(self) -> None:
        if self.outage.seconds_to_wait:
            raise QueueUnavailable("Redis did not answer a moment ago")


class RedisJobQueue(Huey):  # type: ignore[misc]
    """A job queue in Redis that drops a job, without an error, if Redis does not answer.

    The worker finds the work of a dropped job in the database later.
    """

    def __init__(self, name: str, url: str, **options: Any) -> None:
        super().__init__(name, storage_class=ResilientRedisStorage, url=url, **options)

    def enqueue(self, task: Any) -> Any:
        """Queue a task as Huey.enqueue() does; return None if Redis does not answer."""
        try:
            return super().enqueue(task)
        except RedisError:
            return None


def make_queue(settings: Config) -> Huey:
    """Create the job queue: in Redis if the settings have its URL, else in a SQLite file.

    Jobs are signed with the secret key. Otherwise anyone who can write to the queue could make
    the worker run other code.
    """
    serializer = SignedSerializer(secret=settings.secret_key, salt="registry_ui jobs")
    if settings.redis_url:
        return RedisJobQueue("registry_ui", settings.redis_url, serializer=serializer)
    settings.huey_file.parent.mkdir(parents=True, exist_ok=True)
    return SqliteHuey(
        "registry_ui", filename=str(settings.huey_file), serializer=serializer, fsync=False
    )


def redis_problem(queue: Huey) -> str | None:
    """Return the class name of Redis's last error; None if Redis works now, or is not in use."""
    if not isinstance(queue, RedisJobQueue) or not isinstance(queue.storage, ResilientRedisStorage):
        return None
    try:
        queue.storage.ping()
    except RedisError:
        return queue.storage.outage.reason
    return None


def enqueue(name: str, *args: Any) -> None:
    """Queue a task, given by its name in TASKS, to be called with ``args``.

    A failure to queue the task is only logged, because the worker finds the stored work later. In
    tests, where tasks run at once, exceptions are raised.
    """
    try:
        current_app.extensions["tasks"][name](*args)
    except Exception:
        if current_app.testing:
            raise
        logger.exception("the job queue does not take %s; the schedule will find it", name)
