"""What can go wrong with jobs, beside what goes wrong with a restoration."""

from seedvr_engine.errors import SeedVRError, UsageError


class QueueFullError(SeedVRError):
    """Too many unfinished jobs, in all or of one visitor."""

    code = "queue_full"


class UnknownJobError(SeedVRError):
    """There is no job of this id."""

    code = "unknown_job"


class NotReadyError(UsageError):
    """What was asked makes no sense in the job's state."""

    code = "state"


class WorkerError(SeedVRError):
    """The worker cannot start, or died over a job again and again."""

    code = "worker"


class DataFolderInUseError(SeedVRError):
    """Another server works with this data folder."""

    code = "in_use"


class NewerDataError(SeedVRError):
    """The data folder was written by a later version."""

    code = "newer_data"
